"""The collector of a run: writes the outcome of each picture to a part or to the errors table."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic

from calotype.archive.counts import Counts
from calotype.archive.engines.encoder import Failure
from calotype.archive.engines.engine import Engine, OpenPart, Outcome
from calotype.archive.engines.worker_pool import Died
from calotype.archive.error_table import ErrorTable
from calotype.archive.index import Index
from calotype.archive.part_writer import PART_ROWS
from calotype.archive.records import Ledger, Record
from calotype.archive.schema import Row, picture_bytes
from calotype.archive.settings import Settings
from calotype.archive.sources.item import Item, Problem
from calotype.archive.store import Store
from calotype.errors import OutputError, SourceError

__all__ = ["Collector"]

IndexRow = dict[str, str | None]
"""The columns of a row that the index needs."""


@dataclass
class _FillingPart:
    """The part to which rows are added."""

    writer: OpenPart
    rows: list[IndexRow] = field(default_factory=list)
    bytes: int = 0
    started: float = field(default_factory=monotonic)


class Collector:
    """Receives the outcomes of one run and writes them."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        index: Index,
        settings: Settings,
        counts: Counts,
        engine: Engine,
    ) -> None:
        self._store, self._ledger, self._index = store, ledger, index
        self._settings, self._counts, self._engine = settings, counts, engine
        self._errors = ErrorTable(store)
        self._part: _FillingPart | None = None
        self._closed_parts = deque[tuple[Future[Record], list[IndexRow]]]()
        self._contents: dict[str, str] = {}
        self._under_way: set[str] = set()

    def wanted(
        self, listing: Iterable[Item | Problem], stop: threading.Event, progress: Callable[[], None]
    ) -> Iterator[Item]:
        """Yields the items to encode, until ``stop`` is set.

        It counts the others, and calls ``progress`` after each: a run that goes on may pass over millions.
        """
        for item in listing:
            if stop.is_set():
                return
            counts, id_ = self._counts, item.id
            if id_ in self._under_way or id_ in self._index:
                counts.input += 1
                counts.already += 1
            elif id_ in self._errors and not self._settings.retry_errors:
                counts.input += 1
                counts.failed_before += 1
            elif isinstance(item, Problem):
                self._fail(item, Failure(item.kind, item.reason))
            else:
                self._under_way.add(id_)
                yield item
                continue
            progress()

    def take(self, item: Item, outcome: Outcome) -> None:
        """Writes the outcome of an item. Raises :class:`OutputError`, and :class:`SourceError` to stop."""
        if isinstance(outcome, Died):
            outcome = Failure("WorkerDied", outcome.reason)
        if isinstance(outcome, Failure):
            self._under_way.discard(item.id)
            self._fail(item, outcome)
            return
        self._archive(self._deduplicated(outcome.row))

    def close(self) -> None:
        """Finishes the open file. Raises :class:`OutputError`."""
        self._close_part()
        self._record_parts(0)
        self._errors.compact(self._index.__contains__)

    def abandon(self) -> None:
        """Deletes the open part."""
        if self._part is not None:
            self._part.writer.discard()
            self._part = None

    def _archive(self, row: Row) -> None:
        settings, counts = self._settings, self._counts
        if self._part is None:
            writer = self._engine.open_part(self._store, decode=settings.verify == "decode")
            self._part = _FillingPart(writer)
        part = self._part
        part.writer.add(row)
        part.rows.append({name: row[name] for name in ("id", "name", "source_sha256", "duplicate_of")})
        part.bytes += picture_bytes(row)
        counts.input += 1
        counts.archived += 1
        counts.duplicates += row["duplicate_of"] is not None
        counts.originals += row["original"] is not None
        counts.bytes_in += row["source_bytes"]
        counts.bytes_out += row["payload_bytes"] + len(row["original"] or b"")
        if (
            part.bytes >= settings.part_size
            or len(part.rows) >= PART_ROWS
            or monotonic() - part.started > settings.part_seconds
        ):
            self._close_part()

    def _deduplicated(self, row: Row) -> Row:
        """Returns the row, or one that refers to a picture with the same bytes."""
        if not self._settings.dedupe:
            return row
        sha256 = row["source_sha256"]
        first = self._contents.get(sha256) or self._index.with_content(sha256)
        if first is None:
            self._contents[sha256] = row["id"]
            return row
        empty = {"payload": None, "payload_bytes": 0, "payload_sha256": None, "original": None}
        return row | empty | {"duplicate_of": first}

    def _close_part(self) -> None:
        self._errors.save()
        if self._part is None:
            return
        part, self._part = self._part, None
        self._record_parts(self._engine.parts_in_flight - 1)  # There must be room for one more.
        self._closed_parts.append((part.writer.close(self._ledger.new_name()), part.rows))
        self._record_parts(self._engine.parts_in_flight)

    def _record_parts(self, most: int) -> None:
        """Records written parts, in order, and waits until at most ``most`` are still being written."""
        while self._closed_parts and (len(self._closed_parts) > most or self._closed_parts[0][0].done()):
            written, rows = self._closed_parts.popleft()
            record = written.result()
            self._ledger.record(record)
            try:
                self._index.add(record, rows)
            except sqlite3.Error as error:
                raise OutputError(
                    f"the index of {self._store.address} cannot be written ({error})"
                ) from error
            for row in rows:
                self._under_way.discard(str(row["id"]))
                self._contents.pop(str(row["source_sha256"]), None)
            self._counts.parts += 1

    def _fail(self, item: Item | Problem, failure: Failure) -> None:
        self._counts.input += 1
        self._counts.failed += 1
        self._errors.add(item, failure)
        if self._settings.on_error == "stop":
            raise SourceError(f"{item.uri}: {failure.reason} (the run stops at the first error)")
