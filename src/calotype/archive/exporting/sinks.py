"""The destinations of exports: files in a folder, or WebDataset shards."""

from __future__ import annotations

import io
import json
import tarfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Literal

from calotype.archive.schema import Row
from calotype.archive.store import Store
from calotype.errors import OutputError

__all__ = ["Existing", "FolderSink", "ShardSink", "Sink", "file_name"]

Existing = Literal["refuse", "replace", "keep"]
"""The treatment of an output that exists already."""


_MAX_PART_BYTES = 200
"""The longest component of a file's name: most file systems allow 255 bytes, with the id and an extension."""


class Sink(ABC):
    """Receives the exported pictures in the order of the archive."""

    def __init__(self, store: Store, existing: Existing) -> None:
        self._store, self._existing = store, existing
        self.bytes = 0
        """The sum of the sizes of written files, in bytes."""
        self.files = 0
        """The number of written files."""

    @abstractmethod
    def place(self, row: Row, extension: str) -> str | None:
        """Returns the name of the output for the next picture; None if the output exists and is kept.

        ``row`` has the id and the name. Raises :class:`OutputError` if the output exists and must not.
        """

    @abstractmethod
    def add(self, place: str, row: Row, data: bytes) -> None:
        """Writes a picture to its place. Raises :class:`OutputError`."""

    @abstractmethod
    def close(self) -> None:
        """Finishes the open file. Raises :class:`OutputError`."""

    @abstractmethod
    def abandon(self) -> None:
        """Deletes the open file."""

    def _is_wanted(self, name: str) -> bool:
        """Returns whether a file is to be written; raises :class:`OutputError` if it exists and must not."""
        if self._existing == "replace" or not self._store.exists(name):
            return True
        if self._existing == "keep":
            return False
        raise OutputError(
            f"{self._store.address}/{name} exists already (--force replaces what is there, --resume keeps it)"
        )


class FolderSink(Sink):
    """Writes one file for each picture, with its name. Memory holds the names."""

    def __init__(self, store: Store, existing: Existing) -> None:
        super().__init__(store, existing)
        self._taken: set[str] = set()

    def place(self, row: Row, extension: str) -> str | None:
        name = file_name(row, extension, self._taken)
        return name if self._is_wanted(name) else None

    def add(self, place: str, row: Row, data: bytes) -> None:
        del row
        with self._store.writing(), self._store.staging() as path:
            path.write_bytes(data)
            self._store.publish(path, place, flushed=False)
        self.bytes += len(data)
        self.files += 1

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class ShardSink(Sink):
    """Writes tar files of ``pictures`` pictures each, in the layout of WebDataset.

    Each picture is two members: its file and a ``.json`` with its row, without payload, original and
    thumbnail. Both are named by its id, because WebDataset takes everything after the first dot of a name for
    the extension. Each shard has a number and a fixed range of pictures, so that a run can go on.
    """

    def __init__(self, store: Store, existing: Existing, pictures: int) -> None:
        super().__init__(store, existing)
        self._pictures = pictures
        self._position = 0
        self._wanted: dict[str, bool] = {}
        self._name: str | None = None
        self._stack = ExitStack()
        self._path = Path()
        self._tar: tarfile.TarFile | None = None

    def place(self, row: Row, extension: str) -> str | None:
        del row
        shard = f"shard-{self._position // self._pictures:06d}.tar"
        self._position += 1
        if shard not in self._wanted:  # Only the newest one is used again.
            self._wanted = {shard: self._is_wanted(shard)}
        return f"{shard}::{extension}" if self._wanted[shard] else None

    def add(self, place: str, row: Row, data: bytes) -> None:
        shard, _, extension = place.partition("::")
        if shard != self._name:
            self.close()
            self._path = self._stack.enter_context(self._store.staging())
            with self._store.writing():
                self._tar = tarfile.open(self._path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
            self._name = shard
        known = {name: value for name, value in row.items() if not isinstance(value, bytes)}
        with self._store.writing():
            self._member(f"{row['id']}{extension}", data)
            self._member(f"{row['id']}.json", json.dumps(known, ensure_ascii=False).encode())

    def close(self) -> None:
        if self._tar is None or self._name is None:
            return
        with self._stack:
            with self._store.writing():
                self._tar.close()
            self.bytes += self._path.stat().st_size
            self.files += 1
            self._store.publish(self._path, self._name)
        self._tar = self._name = None

    def abandon(self) -> None:
        with self._stack:
            if self._tar is not None:
                self._tar.close()
        self._tar = self._name = None

    def _member(self, name: str, data: bytes) -> None:
        assert self._tar is not None
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))


def file_name(row: Row, extension: str, used_names: set[str]) -> str:
    """Returns a file name for a picture that is not in ``used_names``, and adds it to them.

    ``extension`` replaces the picture's own.
    """
    name = PurePosixPath(row["name"].replace("\\", "/"))
    parts = [_allowed_part(part) for part in name.parts if part not in ("/", "..", ".")]
    path = PurePosixPath(*parts or (row["id"],)).with_suffix(extension)
    if str(path).lower() in used_names:
        path = path.with_name(f"{path.stem}-{row['id']}{path.suffix}")
    used_names.add(str(path).lower())
    return str(path)


def _allowed_part(part: str) -> str:
    """Returns a component of a name as a file or folder may be called: some have far longer names."""
    text = part.replace(":", "_").replace("\0", "_")
    return text.encode("utf-8")[:_MAX_PART_BYTES].decode("utf-8", "ignore")
