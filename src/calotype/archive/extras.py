"""The packages of the extras ``calotype[archive]`` and ``calotype[ray]``, imported when they are needed."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from calotype.errors import ModelError

__all__ = ["arrow", "filesystems", "parquet", "ray_data"]


def arrow() -> Any:
    """Returns the module ``pyarrow``. Raises :class:`ModelError` if it is not installed."""
    return _module("pyarrow", "archives need", "archive")


def parquet() -> Any:
    """Returns the module ``pyarrow.parquet``. Raises :class:`ModelError` if it is not installed."""
    return _module("pyarrow.parquet", "archives need", "archive")


def filesystems() -> Any:
    """Returns the module ``fsspec``. Raises :class:`ModelError` if it is not installed."""
    return _module("fsspec", "addresses such as s3:// and memory:// need", "archive")


def ray_data() -> tuple[Any, Any]:
    """Returns the modules ``ray`` and ``ray.data``. Raises :class:`ModelError` if Ray is not installed.

    Ray's usage statistics are switched off before Ray is imported, and with them those of the cluster that
    this process starts.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return _module("ray", "--engine ray needs", "ray"), _module("ray.data", "--engine ray needs", "ray")


def _module(name: str, user: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(f"{user} another package: pip install 'calotype[{extra}]'") from error
