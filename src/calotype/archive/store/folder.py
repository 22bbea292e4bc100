"""An archive in a folder of this machine.

Each file gets a temporary name, is flushed to the disk and renamed, and its folder is flushed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from calotype.archive.store.base import TEMPORARY, Store
from calotype.errors import OutputError

__all__ = ["FolderStore", "flush"]


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
                if entry.is_file() and not entry.name.startswith(TEMPORARY):
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
        path = self._folder / f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
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
            self._delete_temporary_files()  # A run that was killed has left this file.
            try:
                yield
            finally:
                self._delete_temporary_files()  # Killed processes of this run may have left some.

    def local_path(self, name: str) -> Path | None:
        return self._folder / name

    def _delete_temporary_files(self) -> None:
        for path in self._folder.glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                path.unlink()


def flush(path: Path) -> None:
    """Writes a file or a folder through to the disk. Raises ``OSError``."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders.
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
    except OSError:  # This file system has no locks.
        return
