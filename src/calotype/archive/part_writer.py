"""Writes parts: files of rows, which are verified before they belong to the archive."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from calotype.archive.extras import arrow, parquet
from calotype.archive.records import Record
from calotype.archive.schema import PICTURES, Row, picture_bytes, schema_of
from calotype.archive.store import Store, flush
from calotype.archive.verify import check_part

__all__ = ["GROUP_BYTES", "GROUP_ROWS", "PART_ROWS", "PartWriter"]

PART_ROWS = 10_000
"""Most pictures in a part. Until a part is recorded, memory holds what the index needs of each."""

GROUP_ROWS = 100
"""The largest number of pictures in a row group, which a reader holds in memory at once."""

GROUP_BYTES = 1 << 24
"""The number of bytes at which a row group is closed, which original files may reach before ``GROUP_ROWS``.
"""


class PartWriter:
    """One part, open until :meth:`close`. Memory holds the rows of one row group."""

    def __init__(self, store: Store, *, decode: bool) -> None:
        """With ``decode`` the verification of a part also decodes all latents."""
        self._store, self._decode = store, decode
        self._schema = schema_of(PICTURES)
        self._stack = ExitStack()
        self._path: Path = self._stack.enter_context(store.staging())
        with store.writing():
            self._writer: Any = parquet().ParquetWriter(
                self._path,
                self._schema,
                compression={
                    name: "none" if name in _INCOMPRESSIBLE else "zstd" for name in self._schema.names
                },
                use_dictionary=[name for name in self._schema.names if name not in _DISTINCT],
                write_statistics=[name for name in self._schema.names if name not in _INCOMPRESSIBLE],
            )
        self._group: list[Row] = []
        self._group_bytes = 0
        self._groups: list[int] = []
        self._hashes: list[tuple[str | None, str]] = []
        self._rows = 0

    def add(self, row: Row) -> None:
        """Appends a row. Raises :class:`OutputError`."""
        self._group.append(row)
        self._group_bytes += picture_bytes(row)
        self._rows += 1
        if len(self._group) >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            self._flush()

    def close(self, name: str) -> Record:
        """Writes and verifies the part and gives it its name in the archive; returns its record.

        Raises :class:`OutputError`; then nothing is left of the part.
        """
        with self._stack:
            self._flush()
            with self._store.writing():
                self._writer.close()
                flush(self._path)
                _forget_pages(self._path)
            sha256 = check_part(self._path.open("rb"), self._store.address, decode=self._decode)
            record = Record(name, self._rows, self._path.stat().st_size, sha256, tuple(self._groups))
            self._store.publish(self._path, name)
            return record

    def discard(self) -> None:
        """Deletes the temporary file."""
        self._stack.close()

    def _flush(self) -> None:
        if not self._group:
            return
        with self._store.writing():
            table = arrow().Table.from_pylist(self._group, schema=self._schema)
            self._writer.write_table(table, row_group_size=len(self._group))
        self._groups.append(len(self._group))
        self._group, self._group_bytes = [], 0


_INCOMPRESSIBLE = {"payload", "original", "thumbnail"}
_DISTINCT = {*_INCOMPRESSIBLE, "id", "name", "uri", "source_sha256", "payload_sha256", "seconds"}


def _forget_pages(path: Path) -> None:
    """Drops a flushed file from the system's cache, so that reading it reads the disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
