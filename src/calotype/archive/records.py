"""The ledger: the list of the parts that belong to the archive.

::

    pending ──────────► written ──────────► recorded
    temporary file      parts/x.parquet     records/x.json, rows in the index

A part belongs to the archive as soon as its record exists. The record holds the part's number of rows, size
and SHA-256. A part without a record is left by a run that ended before it could record it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass

from calotype.archive.schema import VERSION, check_version
from calotype.archive.store import Store
from calotype.errors import FormatError

__all__ = ["Ledger", "Record"]

_HEADER = "archive.json"
_FORMAT = "calotype-archive"
_PARTS, _RECORDS = "parts", "records"


@dataclass(frozen=True)
class Record:
    """A part: the name of its file in the archive, its rows, its size in bytes, its SHA-256, and the rows in
    each of its row groups."""

    name: str
    rows: int
    size: int
    sha256: str
    groups: tuple[int, ...]


class Ledger:
    """The parts of one archive."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._run = secrets.token_hex(4)
        self._number: int | None = None

    def check_header(self, *, create: bool = False) -> None:
        """Checks that the store holds an archive of a version that can be read; with ``create`` makes one.

        Raises :class:`FormatError`, and :class:`UnsupportedError` for a newer version.
        """
        data = self._store.read(_HEADER)
        if data is None:
            if not create:
                raise FormatError(f"{self._store.address} holds no archive: there is no {_HEADER} in it")
            header = {"format": _FORMAT, "version": VERSION}
            self._store.write(_HEADER, json.dumps(header).encode() + b"\n")
            return
        name = f"{self._store.address}/{_HEADER}"
        try:
            header = json.loads(data)
            if header["format"] != _FORMAT:
                raise ValueError
            stored = header["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{name} is damaged: it does not describe an archive") from error
        check_version(stored, name)

    def new_name(self) -> str:
        """Returns a name for the next part, after all that are there, and like that of no other run."""
        if self._number is None:
            names = [name.rpartition("/")[2].split("-")[1:2] for name in self._store.sizes(_PARTS)]
            numbers = [int(text) for name in names for text in name if text.isdecimal()]
            self._number = max(numbers, default=0)
        self._number += 1
        return f"{_PARTS}/part-{self._number:06d}-{self._run}.parquet"

    def record(self, record: Record) -> None:
        """Adds a written part to the archive."""
        self._store.write(_record_name(record.name), json.dumps(asdict(record)).encode() + b"\n")

    def recorded(self) -> list[Record]:
        """Returns the records in the order of the parts' names.

        Raises :class:`FormatError` if a record is damaged, or its part is missing or has another size.
        """
        sizes = self._store.sizes(_PARTS)
        names = sorted(name for name in self._store.sizes(_RECORDS) if name.endswith(".json"))
        records = [self._parsed(*item) for item in zip(names, self._store.read_all(names), strict=True)]
        for record in records:
            where = f"{self._store.address}/{record.name}"
            if record.name not in sizes:
                advice = (
                    f"restore it, or delete {_record_name(record.name)} to have its pictures encoded again"
                )
                raise FormatError(f"{where} is missing: {advice}")
            if sizes[record.name] != record.size:
                raise FormatError(
                    f"{where} is damaged: it has {sizes[record.name]} bytes instead of {record.size}:"
                    f" restore it, or delete it and {_record_name(record.name)} to have its pictures encoded"
                    " again"
                )
        return records

    def unrecorded(self) -> list[str]:
        """Returns the names of the parts that have no record."""
        records = self._store.sizes(_RECORDS)
        return sorted(name for name in self._store.sizes(_PARTS) if _record_name(name) not in records)

    def _parsed(self, name: str, content: bytes) -> Record:
        try:
            fields = json.loads(content)
            record = Record(**(fields | {"groups": tuple(map(int, fields["groups"]))}))
            if _record_name(record.name) != name or not isinstance(record.size, int):
                raise ValueError
            return record
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(
                f"{self._store.address}/{name} is damaged:"
                " delete it to have its part verified and recorded again"
            ) from error


def _record_name(part: str) -> str:
    """Returns the name of the record of a part."""
    return f"{_RECORDS}/{part.rpartition('/')[2].removesuffix('.parquet')}.json"
