"""Where an archive lies: a folder, or an object store through fsspec.

A folder gets each file under a temporary name. The file is flushed to the disk, renamed, and its folder is
flushed. An object store has no rename, but shows an object only when all of it has arrived: the file is made
on this machine, uploaded under its final name, and fetched again to compare its SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from calotype.archive.extras import filesystems
from calotype.archive.item import is_url, reason_of
from calotype.errors import CalotypeError, OutputError, SourceError

__all__ = ["FolderStore", "ObjectStore", "Store", "flush", "open_store"]

_TEMPORARY = ".calotype-"
_RETRIES = (0.2, 1.0, 3.0)
"""Seconds to wait before an operation on an object store is tried again."""

_PERMANENT = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR}
"""Errors that waiting does not cure."""

Result = TypeVar("Result")


class Store(ABC):
    """Files by their names relative to the archive, such as ``parts/x.parquet``.

    Whatever fails raises :class:`OutputError` where it writes, and :class:`SourceError` where it reads.
    """

    address: str

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the sizes in bytes of the files directly in ``folder``, by name; none without it."""

    @abstractmethod
    def open(self, name: str) -> Any:
        """Opens a file for reading at any place."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Returns whether there is such a file."""

    @abstractmethod
    def publish(self, file: Path, name: str, *, flushed: bool = True) -> None:
        """Gives a complete file, made in :meth:`staging`, its name.

        If it is to be ``flushed``, it is on the disk when this returns.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Deletes a file; none need be there."""

    @contextmanager
    @abstractmethod
    def staging(self) -> Iterator[Path]:
        """Yields the path of a file to write; what is left of it at the end is deleted."""
        yield Path()

    @contextmanager
    @abstractmethod
    def locked(self) -> Iterator[None]:
        """Within the block no other run writes. Raises :class:`OutputError` if one does."""
        yield

    def local_path(self, name: str) -> Path | None:
        """Returns the path of a file on this machine; None in an object store."""
        del name
        return None

    def read(self, name: str) -> bytes | None:
        """Returns the content of a small file; None if it is not there."""
        if not self.exists(name):
            return None
        with self.reading(name), self.open(name) as file:
            return bytes(file.read())

    def write(self, name: str, data: bytes) -> None:
        """Writes a small file, whole or not at all."""
        with self.writing(), self.staging() as path:
            path.write_bytes(data)
            self.publish(path, name)

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Within the block errors of the file system become :class:`SourceError`."""
        try:
            yield
        except (CalotypeError, MemoryError):
            raise
        except Exception as error:  # file systems of other packages raise many kinds
            raise SourceError(f"{self.address}/{name} cannot be read ({reason_of(error)})") from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within the block errors of the file system become :class:`OutputError`."""
        try:
            yield
        except (CalotypeError, MemoryError):
            raise
        except Exception as error:
            raise OutputError(f"the archive {self.address} cannot be written ({reason_of(error)})") from error


class FolderStore(Store):
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    def sizes(self, folder: str) -> dict[str, int]:
        prefix = f"{folder}/" if folder else ""
        sizes = {}
        with self.reading(folder), suppress(FileNotFoundError):
            for entry in os.scandir(self._folder / folder):
                if entry.is_file() and not entry.name.startswith(_TEMPORARY):
                    sizes[prefix + entry.name] = entry.stat().st_size
        return sizes

    def open(self, name: str) -> Any:
        with self.reading(name):
            return (self._folder / name).open("rb")

    def exists(self, name: str) -> bool:
        with self.reading(name):
            return (self._folder / name).exists()

    def publish(self, file: Path, name: str, *, flushed: bool = True) -> None:
        target = self._folder / name
        with self.writing():
            target.parent.mkdir(parents=True, exist_ok=True)
            if flushed:
                flush(file)
            file.replace(target)
            if flushed:
                flush(target.parent)

    def delete(self, name: str) -> None:
        with self.writing():
            (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        with self.writing():
            self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{_TEMPORARY}{secrets.token_hex(8)}.tmp"
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self.writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / ".lock").open("ab")
        with file:
            _lock_store_file(file.fileno(), self.address)
            for path in self._folder.glob(f"{_TEMPORARY}*"):  # of a run that was killed
                with suppress(OSError):
                    path.unlink()
            yield

    def local_path(self, name: str) -> Path | None:
        return self._folder / name


class ObjectStore(Store):
    """A file system of fsspec, used as an object store: by whole objects, without renaming any."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
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
            with suppress(FileNotFoundError):  # fsspec's own "exists" takes every error for this one
                return bool(self._fs.info(f"{self._root}/{name}"))
            return False

        with self.reading(name):
            return _retried(there)

    def publish(self, file: Path, name: str, *, flushed: bool = True) -> None:
        target = f"{self._root}/{name}"  # safe once it has arrived, flushed or not

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
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        try:
            yield folder / "file"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield  # names hold a token of the run, so that two runs never write the same object


def open_store(address: str | os.PathLike[str]) -> Store:
    """Returns the store at a path or URL. Raises :class:`SourceError` and :class:`ModelError`."""
    text = os.fspath(address).removeprefix("file://")
    return ObjectStore(text) if is_url(text) else FolderStore(Path(text))


def flush(path: Path) -> None:
    """Writes a file or a folder through to the disk. Raises ``OSError``."""
    if os.name == "nt" and path.is_dir():  # Windows does not open folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock_store_file(descriptor: int, address: str) -> None:
    """Locks a file until its process ends; where the system has no such locks it does nothing."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"the archive {address} is being written by another run: wait for its end"
        ) from error
    except OSError:  # no locks on this file system
        return


def _retried(action: Callable[[], Result]) -> Result:
    """Returns the result of ``action``, which is tried again after errors that may pass."""
    for seconds in _RETRIES:
        try:
            return action()
        except (OSError, TimeoutError) as error:
            if error.errno in _PERMANENT or isinstance(error, CalotypeError):
                raise
        time.sleep(seconds)
    return action()


def _sha256(file: Any) -> str:
    with file:
        return hashlib.file_digest(file, "sha256").hexdigest()
