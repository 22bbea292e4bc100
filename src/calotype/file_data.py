"""Sources of .calo files: bytes, a path or a stream."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from calotype.errors import SourceError

__all__ = ["DataLike", "read_file_data"]

DataLike = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
"""The types of sources that can be decoded."""


def read_file_data(data: DataLike) -> bytes:
    """Returns the bytes of a file. A stream that can seek is read from its start.

    Raises :class:`SourceError` if a path cannot be read, and ``TypeError`` for other types.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str | os.PathLike):
        try:
            return Path(data).read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {os.fspath(data)}: {error.strerror}") from error
    if not hasattr(data, "read"):
        raise TypeError(f"data (a {type(data).__name__}) must be bytes, a path or a binary stream")
    with suppress(AttributeError, OSError):  # A pipe cannot seek.
        data.seek(0)
    content = data.read()
    if not isinstance(content, bytes):
        raise TypeError(f"data.read() must give bytes, not {type(content).__name__}")
    return content
