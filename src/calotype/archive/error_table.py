"""The errors table: the pictures that are not in the archive, and why.

Each run adds files of rows in ``errors``. If a picture has several rows, the one with the most attempts is
valid. Rows of pictures that are in the archive by now are not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from calotype.archive.engines.encoder import Failure
from calotype.archive.extras import arrow, parquet
from calotype.archive.schema import ERRORS, Row, check_version, schema_of
from calotype.archive.sources.item import Item, Problem
from calotype.archive.store import Store
from calotype.errors import CalotypeError, FormatError

__all__ = ["ErrorTable"]

_FOLDER = "errors"
_BUFFERED = 1000
"""The number of new rows at which they are written; they are also written with each part."""


class ErrorTable:
    """The errors of one archive, in memory: a few hundred bytes for each picture that failed."""

    def __init__(self, store: Store) -> None:
        """Reads the table. Raises :class:`FormatError` if a file of it is damaged."""
        self._store = store
        self._rows: dict[str, Row] = {}
        self._files = sorted(name for name in store.sizes(_FOLDER) if name.endswith(".parquet"))
        self._new: dict[str, Row] = {}
        for name in self._files:
            for row in _read_error_table(store, name):
                if row["attempts"] >= self._rows.get(row["id"], row)["attempts"]:
                    self._rows[row["id"]] = row

    def __contains__(self, id_: str) -> bool:
        return id_ in self._rows

    def add(self, item: Item | Problem, failure: Failure) -> None:
        """Adds a failed attempt."""
        attempts = self._rows[item.id]["attempts"] + 1 if item.id in self._rows else 1
        row = {
            "id": item.id,
            "name": item.name,
            "uri": item.uri,
            "source": item.source,
            "kind": failure.kind,
            "reason": failure.reason,
            "attempts": attempts,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._rows[item.id] = self._new[item.id] = row
        if len(self._new) >= _BUFFERED:
            self.save()

    def live(self, archived: Callable[[str], bool]) -> list[Row]:
        """Returns the rows of the pictures that are not ``archived``."""
        return [row for row in self._rows.values() if not archived(row["id"])]

    def save(self) -> None:
        """Writes the rows that are new. Raises :class:`OutputError`."""
        if self._new:
            self._write(list(self._new.values()))
            self._new = {}

    def compact(self, archived: Callable[[str], bool]) -> None:
        """Replaces all files by one without the pictures that are ``archived``, if that is shorter."""
        self.save()
        live = self.live(archived)
        if len(self._files) < 2 and len(live) == len(self._rows):
            return
        old, self._files = self._files, []
        if live:
            self._write(live)
        for name in old:
            self._store.delete(name)

    def _write(self, rows: list[Row]) -> None:
        number = max((int(name.rpartition("/")[2].split("-")[1]) for name in self._files), default=0) + 1
        name = f"{_FOLDER}/errors-{number:06d}-{secrets.token_hex(4)}.parquet"
        with self._store.writing(), self._store.staging() as path:
            parquet().write_table(arrow().Table.from_pylist(rows, schema=schema_of(ERRORS)), path)
            self._store.publish(path, name)
        self._files.append(name)


def _read_error_table(store: Store, name: str) -> list[Row]:
    where = f"{store.address}/{name}"
    with store.reading(name), store.open(name) as file:
        try:
            table = parquet().read_table(file)
        except CalotypeError:
            raise
        except Exception as error:
            raise FormatError(f"{where} is damaged: delete it to have its pictures tried again") from error
    check_version(table.schema.metadata or {}, where)
    rows: list[Row] = table.to_pylist()
    return rows
