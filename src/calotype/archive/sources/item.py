"""A picture that is to be archived: its address and its bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calotype.archive.extras import filesystems
from calotype.errors import CalotypeError, LimitError, SourceError
from calotype.limits import Limits

__all__ = [
    "WEB",
    "Item",
    "Problem",
    "absolute",
    "is_url",
    "last_name",
    "location_of",
    "opened",
    "reason_of",
    "shown",
]


WEB = ("http://", "https://")
"""The beginnings of the URLs that may have a query."""


@dataclass(frozen=True)
class Problem:
    """A source that cannot be listed: its address as text, its name, its argument, and the reason."""

    uri: str
    name: str
    source: str
    reason: str
    kind: str = SourceError.__name__

    @property
    def id(self) -> str:
        """Returns the identifier that a picture of this address would have."""
        return _picture_id(absolute(self.uri))


@dataclass(frozen=True)
class Item:
    """A picture of the input.

    ``uri`` and ``name`` are text; ``source`` is the argument that named it. ``location`` is the path or URL
    of the file that holds it: ``size`` bytes from ``offset`` on, or all of the file if these are None.
    ``data`` are its bytes if they were read during the listing. ``occurrence`` is the number of pictures with
    the same address before this one, as in some tar files.
    """

    uri: str
    name: str
    source: str
    location: str
    offset: int | None = None
    size: int | None = None
    data: bytes | None = None
    occurrence: int = 0

    @cached_property
    def id(self) -> str:
        """Returns the picture's identifier: 32 hexadecimal digits, which depend on its absolute address only.

        So pictures of two folders or manifests that are both called ``0.png`` are two pictures.
        """
        place = self.location if self.offset is None else f"tar://{self.name}::{self.location}"
        return _picture_id(absolute(place), self.occurrence)

    def read(self, limits: Limits) -> bytes:
        """Reads the picture.

        Raises :class:`SourceError` if it cannot be read or changes meanwhile, and :class:`LimitError` if it
        is longer than any picture within ``limits``: 16 bits of red, green, blue and alpha per pixel, and
        metadata.
        """
        most = 8 * limits.max_pixels + limits.max_metadata_bytes
        if self.data is not None:
            return _checked_item_size(self.data, most)
        if self.size is not None and self.size > most:
            raise _item_too_long(most)
        try:
            if is_url(self.location):
                return _checked_item_size(self._fetched(most), most)
            return self._read_file(most)
        except CalotypeError:
            raise
        except Exception as error:  # File systems of other packages raise exceptions of many types.
            raise SourceError(f"cannot be read ({reason_of(error)})") from error

    def opened(self) -> Any:
        """Opens the file that holds the picture.

        Raises :class:`SourceError` for a pipe or a device, which may have no end, and the exceptions of the
        file system.
        """
        if not is_url(self.location) and not stat.S_ISREG(os.stat(self.location).st_mode):  # noqa: PTH116
            raise SourceError("is not a regular file")
        return opened(self.location)

    def _read_file(self, most: int) -> bytes:
        with self.opened() as file:
            before = os.fstat(file.fileno())
            length = before.st_size if self.size is None else self.size
            if length > most:
                raise _item_too_long(most)
            if self.size is not None:
                file.seek(self.offset or 0)
            more = 1 if self.size is None else 0  # A file that grows has one byte more.
            data = bytes(file.read(length + more))
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != length:
            raise SourceError("changed while it was read: try it again with --retry-errors")
        return data

    def _fetched(self, most: int) -> bytes:
        with self.opened() as file:
            if self.size is None:
                return bytes(file.read(most + 1))
            file.seek(self.offset or 0)
            data = bytes(file.read(self.size))
        if len(data) != self.size:
            raise SourceError(f"ends after {len(data)} of {self.size} bytes")
        return data


def location_of(address: str) -> str:
    """Returns the path or URL at an address that a user has given: a path if it begins with ``file://``."""
    return address.removeprefix("file://")


def last_name(address: str) -> str:
    """Returns the last component of an address, without the query of a web address."""
    if address.startswith(WEB):
        address = address.partition("?")[0].partition("#")[0]
    return address.rstrip("/").rpartition("/")[2]


def absolute(location: str) -> str:
    """Returns a path from the root on. Of a URL that contains a path, ``tar://member::path``, this is made
    such a path; another URL is returned as it is.
    """
    if not is_url(location):
        return str(Path(location).absolute())
    outer, separator, inner = location.rpartition("::")
    return location if not separator or is_url(inner) else f"{outer}::{Path(inner).absolute()}"


def _picture_id(address: str, occurrence: int = 0) -> str:
    """Returns the identifier of a picture: the first half of the SHA-256 of its absolute address."""
    text = address if not occurrence else f"{address}\0{occurrence}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def is_url(text: str) -> bool:
    """Returns whether ``text`` is an address for fsspec, not a path."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").isalnum() and len(scheme) > 1


def opened(location: str) -> Any:
    """Opens a path or a URL for reading bytes. Raises the exceptions of the file system."""
    if is_url(location):
        return filesystems().open(location, "rb").open()
    return open(location, "rb")  # noqa: PTH123 (the name may not be text; the caller closes it)


def shown(path: str) -> str:
    """Returns a path as text: bytes of its name that are no UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def reason_of(error: BaseException) -> str:
    """Returns one line about an error of a file system."""
    strerror = getattr(error, "strerror", None)
    if isinstance(strerror, str):
        text = strerror.lower()
    elif isinstance(error, FileNotFoundError):  # Its text is often no more than the address.
        text = os.strerror(errno.ENOENT).lower()
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())[:300]


def _checked_item_size(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise _item_too_long(most)
    return data


def _item_too_long(most: int) -> LimitError:
    return LimitError(f"is longer than the {most} bytes allowed (raise --max-pixels to lift this)")
