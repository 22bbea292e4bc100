"""Reading an archive: pictures by id or name, all rows, figures, verification."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from calotype.archive.error_table import ErrorTable
from calotype.archive.index import Index, Place, open_index
from calotype.archive.records import Ledger, Record
from calotype.archive.schema import PICTURES, Row
from calotype.archive.store import open_store
from calotype.archive.verify import groups_of, open_part, problems_of
from calotype.errors import CalotypeError, ChecksumError, FormatError, SourceError

__all__ = ["Archive"]

_CONTENT = ("payload", "original", "thumbnail")
_TOTALS = ("source_bytes", "payload_bytes", "seconds")


class Archive:
    """An archive to read, at a path or URL. It must be closed, or used in a ``with`` block.

    It can be pickled. The copy lists the same parts, and opens files of its own.
    Raises :class:`FormatError` if there is no archive or its list of parts is damaged,
    :class:`UnsupportedError` if it is of a newer version, :class:`SourceError` if it cannot be read.
    """

    def __init__(self, address: str | os.PathLike[str]) -> None:
        self._stack = ExitStack()
        self._store = open_store(address)
        self._ledger = Ledger(self._store)
        self._ledger.check_header()
        self.records: list[Record] = self._ledger.recorded()
        self._opened_index: Index | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "records": self.records}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._stack = ExitStack()
        self._store = open_store(state["address"])
        self._ledger = Ledger(self._store)
        self.records = state["records"]
        self._opened_index = None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the index."""
        self._stack.close()
        self._opened_index = None

    @property
    def address(self) -> str:
        """Returns the path or URL of the archive."""
        return self._store.address

    def __len__(self) -> int:
        return sum(record.rows for record in self.records)

    def __contains__(self, id_or_name: str) -> bool:
        return bool(self._index().find(id_or_name))

    @property
    def metadata_columns(self) -> list[str]:
        """Returns the names of the columns without payloads, originals and thumbnails."""
        return [column.name for column in PICTURES if column.name not in _CONTENT]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yields every row, a row group at a time, with these columns only; None: with all."""
        for record in self.records:
            yield from self.part_rows(record, columns)

    def part_rows(self, record: Record, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yields the rows of one part; see :meth:`rows`. Raises :class:`FormatError`."""
        with self.opened(record) as part:
            name = self._where(record.name)
            for rows in groups_of(part, name, None if columns is None else list(columns)):
                yield from rows

    @contextmanager
    def opened(self, record: Record) -> Iterator[Any]:
        """Yields a part as a ``pyarrow.parquet.ParquetFile``. Raises :class:`FormatError`."""
        with self._store.open(record.name) as file:
            yield open_part(file, self._where(record.name))

    def group(self, record: Record, number: int, columns: Sequence[str] | None = None) -> list[Row]:
        """Returns the rows of row group ``number`` of a part. Raises :class:`FormatError`."""
        with self.opened(record) as part:
            try:
                rows: list[Row] = part.read_row_group(number, columns=columns).to_pylist()
            except Exception as error:  # pyarrow raises exceptions of many types for damaged files.
                name = self._where(record.name)
                raise FormatError(f"{name} is damaged: {str(error).splitlines()[0]}") from error
        return rows

    def find(self, id_or_name: str) -> list[Row]:
        """Returns the row of the picture with that id, or those of all pictures with that name.

        Only the row groups that hold them are read.
        """
        return [self._row_at(place) for place in self._index().find(id_or_name)]

    def get(self, id_or_name: str) -> Row:
        """Returns the row of one picture. A duplicate has the payload or original of the picture it refers
        to.

        Raises :class:`SourceError` if there is no such picture, or if several have that name.
        """
        rows = self.find(id_or_name)
        if not rows:
            reason = next(
                (f": {row['reason']}" for row in self.errors() if id_or_name in (row["id"], row["name"])), ""
            )
            raise SourceError(f"{self._store.address} has no picture {id_or_name!r}{reason}")
        if len(rows) > 1:
            ids = ", ".join(row["id"] for row in rows[:3])
            raise SourceError(
                f"{len(rows)} pictures are named {id_or_name!r}: ask for one by its id ({ids} ...)"
            )
        return self.resolved(rows[0])

    def resolved(self, row: Row) -> Row:
        """Returns a row; that of a duplicate gets the content of the picture it refers to."""
        if row.get("duplicate_of") is None:
            return row
        originals = self.find(row["duplicate_of"])
        if not originals:
            raise ChecksumError(f"picture {row['id']} refers to {row['duplicate_of']}, which is not there")
        content = {
            name: originals[0][name] for name in ("payload", "payload_bytes", "payload_sha256", "original")
        }
        return row | content

    def errors(self) -> list[Row]:
        """Returns the rows of the errors table, without pictures that are in the archive by now."""
        return ErrorTable(self._store).live(self._index().__contains__)

    def verify(self) -> Iterator[CalotypeError | None]:
        """Checks every part: its SHA-256, every checksum, and that every payload decodes to its latents.

        It yields each problem of a part, and None after the part.
        """
        for record in self.records:
            where = self._where(record.name)
            with self._store.open(record.name) as file:
                sha256 = _sha256(file)
                if sha256 != record.sha256:
                    yield ChecksumError(f"{where} is damaged: it does not match its SHA-256")
                file.seek(0)
                rows = 0
                yield from problems_of(file, where, decode=True)
            if sha256 == record.sha256:
                for row in self.part_rows(record, ["id", "duplicate_of"]):
                    rows += 1
                    for id_ in filter(None, (row["id"], row["duplicate_of"])):
                        if id_ not in self._index():
                            yield ChecksumError(
                                f"{where}: picture {row['id']} needs {id_}, which is not there"
                            )
                if rows != record.rows:
                    yield ChecksumError(f"{where} has {rows} pictures instead of {record.rows}")
            yield None

    def stats(self) -> dict[str, Any]:
        """Returns figures of the archive: pictures, parts, bytes, models, levels, means of scores, errors."""
        totals, models, scores = Counter[str](), Counter[str](), dict[str, list[float]]()
        pixels = duplicates = originals = 0
        columns = [
            *_TOTALS,
            "width",
            "height",
            "model",
            "context_model",
            "duplicate_of",
            "payload_sha256",
            "psnr",
            "ssimulacra2",
        ]
        for row in self.rows(columns):
            duplicate = row["duplicate_of"] is not None
            duplicates += duplicate
            originals += row["payload_sha256"] is None and not duplicate
            pixels += row["width"] * row["height"]
            for name in _TOTALS:
                totals[name] += row[name]
            models[f"{row['model']}, context model {row['context_model']}"] += 1
            for name in ("psnr", "ssimulacra2"):
                if row[name] is not None:
                    total, count = scores.get(name, [0.0, 0])
                    scores[name] = [total + row[name], count + 1]
        return {
            "pictures": len(self),
            "parts": len(self.records),
            "file_bytes": sum(record.size for record in self.records),
            "pixels": pixels,
            **totals,
            "duplicates": duplicates,
            "originals": originals,
            "models": dict(models),
            **{f"mean_{name}": total / count for name, (total, count) in scores.items()},
            "errors": len(self.errors()),
        }

    def _index(self) -> Index:
        if self._opened_index is None:
            self._opened_index = self._stack.enter_context(open_index(self._store, self.records, keep=False))
        return self._opened_index

    def _row_at(self, place: Place) -> Row:
        record = next(record for record in self.records if record.name == place.part)
        number, row = 0, place.row
        while row >= record.groups[number]:
            row -= record.groups[number]
            number += 1
        return self.group(record, number)[row]

    def _where(self, name: str) -> str:
        return f"{self._store.address}/{name}"


def _sha256(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
