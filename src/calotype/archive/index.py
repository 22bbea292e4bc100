"""The index: the place of each picture, in an SQLite file that can be rebuilt from the parts.

It holds each picture's id, name and the SHA-256 of its source with its part and row, so that a picture is
found without reading the parts. It is brought up to date from the id, name and checksum columns of recorded
parts.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from calotype.archive.records import Record
from calotype.archive.store import Store
from calotype.archive.verify import groups_of, open_part
from calotype.errors import OutputError

__all__ = ["Index", "Place", "open_index"]

_NAME = "index.sqlite"
_COLUMNS = ["id", "name", "source_sha256", "duplicate_of"]
_TABLES = """
CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, name TEXT UNIQUE, sha256 TEXT);
CREATE TABLE IF NOT EXISTS pictures (
    id TEXT PRIMARY KEY, name TEXT, sha256 TEXT, part INTEGER, row INTEGER, whole INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names ON pictures (name);
CREATE INDEX IF NOT EXISTS contents ON pictures (sha256) WHERE whole;
"""


@dataclass(frozen=True)
class Place:
    """The place of a picture: its id, its part and the number of its row in that part."""

    id: str
    part: str
    row: int


class Index:
    """The open index. Only one thread may use it."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def sync(self, store: Store, records: Iterable[Record]) -> None:
        """Brings the index up to date: adds parts that it lacks, and removes those that have no record."""
        wanted = {record.name: record for record in records}
        known = dict(self._db.execute("SELECT name, sha256 FROM parts"))
        for name in [name for name, sha256 in known.items() if _sha256(wanted.get(name)) != sha256]:
            with self._transaction():
                self._db.execute(
                    "DELETE FROM pictures WHERE part = (SELECT number FROM parts WHERE name = ?)", (name,)
                )
                self._db.execute("DELETE FROM parts WHERE name = ?", (name,))
            del known[name]
        for name, record in wanted.items():
            if name not in known:
                with store.reading(name), store.open(name) as file:
                    part = open_part(file, name)
                    self.add(record, (row for rows in groups_of(part, name, _COLUMNS) for row in rows))

    def add(self, record: Record, rows: Iterable[dict[str, str | None]]) -> None:
        """Adds a part with all of its rows. A picture that the index has already keeps its place."""
        with self._transaction():
            self._db.execute("INSERT INTO parts (name, sha256) VALUES (?, ?)", (record.name, record.sha256))
            (part,) = self._db.execute("SELECT number FROM parts WHERE name = ?", (record.name,)).fetchone()
            self._db.executemany(
                "INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (row["id"], row["name"], row["source_sha256"], part, number, row["duplicate_of"] is None)
                    for number, row in enumerate(rows)
                ),
            )

    def __contains__(self, id_: str) -> bool:
        return self._db.execute("SELECT 1 FROM pictures WHERE id = ?", (id_,)).fetchone() is not None

    def find(self, id_or_name: str) -> list[Place]:
        """Returns the place of the picture with that id, or the places of all pictures with that name."""
        query = "SELECT pictures.id, parts.name, row FROM pictures JOIN parts ON part = number WHERE "
        rows = self._db.execute(query + "pictures.id = ?", (id_or_name,)).fetchall()
        rows = (
            rows or self._db.execute(query + "pictures.name = ? ORDER BY part, row", (id_or_name,)).fetchall()
        )
        return [Place(*place) for place in rows]

    def with_content(self, sha256: str) -> str | None:
        """Returns the id of the first picture whose source has this SHA-256."""
        row = self._db.execute(
            "SELECT id FROM pictures WHERE sha256 = ? AND whole ORDER BY part, row LIMIT 1", (sha256,)
        ).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextmanager
def open_index(store: Store, records: Iterable[Record], *, keep: bool) -> Iterator[Index]:
    """Yields the index of an archive, up to date.

    In a folder it is the file ``index.sqlite``, which is made anew if it is damaged. For an object store it
    is a copy on this machine; with ``keep`` the copy is uploaded at the end, for the next reader. An archive
    that may only be read has a temporary index.
    """
    path = store.local_path(_NAME)
    records = list(records)
    with tempfile.TemporaryDirectory(prefix=".calotype-") as folder:
        copy = Path(folder) / _NAME
        if path is None and (data := store.read(_NAME)) is not None:
            copy.write_bytes(data)
        index = None
        for place in (path, copy) if path is not None else (copy,):
            index = _index_in_step_with_store(place, store, records)
            if index is not None:
                break
        if index is None:
            raise OutputError(f"the index of {store.address} cannot be written: is the disk full?")
        try:
            yield index
        finally:
            index.close()
        if path is None and keep:
            with store.staging() as staged, store.writing():
                shutil.copyfile(copy, staged)
                store.publish(staged, _NAME)


def _index_in_step_with_store(path: Path, store: Store, records: list[Record]) -> Index | None:
    """Returns the index in the file ``path``, up to date; None if the file cannot be written.

    A damaged file is replaced.
    """
    for _ in range(2):
        index = None
        try:
            index = Index(path)
            index.sync(store, records)
            return index
        except sqlite3.OperationalError:  # The file cannot be opened or written.
            if index is not None:
                index.close()
            return None
        except sqlite3.DatabaseError:
            if index is not None:
                index.close()
            with suppress(OSError):
                path.unlink()
    return None


def _sha256(record: Record | None) -> str | None:
    return None if record is None else record.sha256
