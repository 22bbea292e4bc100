"""The packages of the extras ``calotype[archive]`` and ``calotype[ray]``, imported when they are needed."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from calotype.errors import ModelError

__all__ = ["arrow", "check_filesystem", "filesystems", "parquet", "ray_data"]

_FILE_SYSTEM_LOGGERS = ("fsspec", "gcsfs", "s3fs")


def arrow() -> Any:
    """Returns the module ``pyarrow``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("pyarrow", "archives need", "archive")


def parquet() -> Any:
    """Returns the module ``pyarrow.parquet``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("pyarrow.parquet", "archives need", "archive")


def filesystems() -> Any:
    """Returns the module ``fsspec``. Raises :class:`ModelError` if it is not installed.

    Where logging is not set up, the warnings of file systems, which repeat their errors with tracebacks, are
    not shown.
    """
    for name in _FILE_SYSTEM_LOGGERS:
        if not (logger := logging.getLogger(name)).handlers:
            logger.addHandler(logging.NullHandler())
    return _import_of_extra("fsspec", "addresses such as s3:// and memory:// need", "archive")


def check_filesystem(url: str) -> None:
    """Raises :class:`ModelError` if fsspec needs another package for such addresses."""
    scheme = url.partition("://")[0]
    try:
        filesystems().get_filesystem_class(scheme)
    except ImportError as error:
        raise ModelError(f"{scheme}:// needs another package: {error}") from error
    except ValueError:  # Using the address reports that there is no such file system.
        return


def ray_data() -> Any:
    """Returns the module ``ray.data``. Raises :class:`ModelError` if it is not installed."""
    return _import_of_extra("ray.data", "the engine ray needs", "ray")


def _import_of_extra(name: str, user: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(f"{user} another package: pip install 'calotype[{extra}]'") from error
