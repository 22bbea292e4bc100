"""An archive in an object store that fsspec can reach.

It has no rename, but shows an object only when all of it has arrived. Each file is made on this machine,
uploaded under its final name, and fetched again to compare its SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from calotype.archive.extras import check_filesystem, filesystems
from calotype.archive.store.base import TEMPORARY, Store
from calotype.errors import CalotypeError, OutputError

__all__ = ["ObjectStore"]

_RETRIES = (0.2, 1.0, 3.0)
"""The times in seconds before an operation on an object store is tried again."""

_PERMANENT = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR}
"""The error numbers after which an operation is not tried again."""

_PERMANENT_ERRORS = (CalotypeError, FileNotFoundError, PermissionError)
"""The classes of such errors, which may lack a number."""

_FETCHED_AT_ONCE = 1000
"""The number of small objects that are asked for at once."""

Result = TypeVar("Result")


class ObjectStore(Store):
    """A file system of fsspec, used as an object store: it writes whole objects, and renames none."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        check_filesystem(address)
        with self.reading(""):
            self._fs, self._root = filesystems().core.url_to_fs(self.address)

    def sizes(self, folder: str) -> dict[str, int]:
        def found() -> dict[str, int]:
            self._fs.invalidate_cache()
            path = f"{self._root}/{folder}".rstrip("/")
            prefix = f"{folder}/" if folder else ""
            entries = self._fs.ls(path, detail=True) if self._fs.isdir(path) else []
            return {
                prefix + entry["name"].rstrip("/").rpartition("/")[2]: int(entry["size"])
                for entry in entries
                if entry["type"] == "file"
            }

        with self.reading(folder):
            return _retried(found)

    def open(self, name: str) -> Any:
        with self.reading(name):
            return _retried(lambda: self._fs.open(f"{self._root}/{name}", "rb"))

    def exists(self, name: str) -> bool:
        def there() -> bool:
            self._fs.invalidate_cache()
            with suppress(FileNotFoundError):  # The "exists" of fsspec returns False after every error.
                return bool(self._fs.info(f"{self._root}/{name}"))
            return False

        with self.reading(name):
            return _retried(there)

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        contents = list[bytes]()
        for first in range(0, len(names), _FETCHED_AT_ONCE):
            paths = [f"{self._root}/{name}" for name in names[first : first + _FETCHED_AT_ONCE]]
            with self.reading(names[first]):
                found = _retried(partial(self._fs.cat, paths))
                contents += [bytes(found[path]) for path in paths]
        return contents

    def publish(self, file: Path, name: str, *, flushed: bool = True) -> None:
        target = f"{self._root}/{name}"  # An object is safe as soon as it has arrived.

        def upload() -> None:
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(file), target)

        with self.writing():
            _retried(upload)
            self._fs.invalidate_cache()
            if _retried(lambda: _sha256(self._fs.open(target, "rb"))) != _sha256(file.open("rb")):
                raise OutputError(f"{self.address}/{name} does not hold what was written: try again")

    def delete(self, name: str) -> None:
        with self.writing(), suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    @contextmanager
    def staging(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        try:
            yield folder / "file"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield  # Names contain a token of the run, so that two runs never write the same object.


def _retried(action: Callable[[], Result]) -> Result:
    """Returns the result of ``action``, which is tried again after errors that may pass."""
    for seconds in _RETRIES:
        try:
            return action()
        except (OSError, TimeoutError) as error:
            if error.errno in _PERMANENT or isinstance(error, _PERMANENT_ERRORS):
                raise
        time.sleep(seconds)
    return action()


def _sha256(file: Any) -> str:
    with file:
        return hashlib.file_digest(file, "sha256").hexdigest()
