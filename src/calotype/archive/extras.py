"""The packages of the extras ``calotype[archive]`` and ``calotype[ray]``, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from calotype.errors import ModelError

__all__ = ["arrow", "filesystems", "parquet", "ray_data"]


def arrow() -> Any:
    """Returns the module ``pyarrow``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("pyarrow", "archives need", "archive")


def parquet() -> Any:
    """Returns the module ``pyarrow.parquet``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("pyarrow.parquet", "archives need", "archive")


def filesystems() -> Any:
    """Returns the module ``fsspec``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("fsspec", "addresses such as s3:// and memory:// need", "archive")


def ray_data() -> Any:
    """Returns the module ``ray.data``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("ray.data", "the engine ray needs", "ray")


def _import_of_extra(name: str, user: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(f"{user} another package: pip install 'calotype[{extra}]'") from error
