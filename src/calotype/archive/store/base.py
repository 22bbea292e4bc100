"""The interface of all stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calotype.archive.sources.item import reason_of
from calotype.errors import CalotypeError, OutputError, SourceError

__all__ = ["TEMPORARY", "Store"]

TEMPORARY = ".calotype-"
"""The beginning of the names of temporary files."""


class Store(ABC):
    """Files by their names relative to the archive, such as ``parts/x.parquet``.

    Writing raises :class:`OutputError`, and reading :class:`SourceError`.
    """

    address: str

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the sizes in bytes of the files directly in ``folder``, by name; empty without it."""

    @abstractmethod
    def open(self, name: str) -> Any:
        """Opens a file for reading at any position."""

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
        """Deletes a file, if it exists."""

    @contextmanager
    @abstractmethod
    def staging(self) -> Iterator[Path]:
        """Yields the path of a temporary file, which is deleted at the end if it is still there."""
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

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Returns the contents of small files."""
        return [self.read(name) or b"" for name in names]

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
        except Exception as error:  # File systems of other packages raise exceptions of many types.
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
