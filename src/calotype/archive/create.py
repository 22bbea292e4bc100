"""Making an archive: the run that takes each picture of the input to a recorded part, or to the errors table.

::

    sources ─ scan ─ items ─ engine (processes, or Ray) ─ rows ─ collector ─┬─ parts, records, index
                                                                            └─ errors table

The engine returns results in the order of the input, and a bounded number of pictures is under way. One
collector writes, so that rows and payloads do not depend on the engine.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Literal

from calotype.archive.counts import Counts
from calotype.archive.error_table import ErrorTable
from calotype.archive.extras import arrow, parquet
from calotype.archive.index import Index, open_index
from calotype.archive.item import Item, Problem
from calotype.archive.ledger import Ledger, Record
from calotype.archive.parts import PartWriter
from calotype.archive.pool import Died, WorkerPool
from calotype.archive.schema import Row
from calotype.archive.sources import scan
from calotype.archive.store import Store, open_store
from calotype.archive.verify import check_part, groups_of, open_part
from calotype.archive.work import Encoded, Encoder, Failure, Work
from calotype.cores import available_cores
from calotype.errors import FormatError, OutputError, SourceError

__all__ = ["Collector", "Engine", "Settings", "create", "local_engine", "recover"]

Engine = Callable[[Iterable[Item], threading.Event], Iterator[tuple[Item, Any]]]
"""Yields each item with its :class:`Encoded`, :class:`Failure` or :class:`Died`, in order, until stopped."""


@dataclass(frozen=True)
class Settings:
    """How a run works.

    ``workers``: processes with one codec and one thread each; None: one for each core. ``part_size``: a part
    is closed when its pictures have this many bytes, and ``part_seconds`` after it was begun, so that a run
    that is killed loses no more work than that. ``dedupe``: a picture with the bytes of one that is there
    refers to that one. ``on_error``: whether a picture that fails is left out, or ends the run.
    ``retry_errors``: pictures of the errors table are tried again. ``verify``: a part that was read back is
    checked by the SHA-256 that each payload had when its encoder verified it, or by decoding its latents too.
    Raises ``ValueError``.
    """

    work: Work = field(default_factory=Work)
    workers: int | None = None
    part_size: int = 32_000_000
    part_seconds: float = 600.0
    dedupe: bool = False
    on_error: Literal["skip", "stop"] = "skip"
    retry_errors: bool = False
    verify: Literal["checksum", "decode"] = "checksum"

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers (={self.workers}) must be positive, or None for every core")
        if self.part_size < 1 or not self.part_seconds > 0:
            raise ValueError("part_size and part_seconds must be positive")

    @property
    def processes(self) -> int:
        """The number of worker processes."""
        return self.workers or available_cores()


def create(
    sources: Sequence[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    engine: Engine | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Counts], None] = lambda counts: None,
) -> Counts:
    """Archives the pictures of ``sources`` in ``destination``, a folder or URL; goes on where a run ended.

    ``sources`` are folders, files, patterns, manifests, tar files or URLs. ``engine`` does the work; None:
    processes on this machine. Once ``stop`` is set, the run ends with what is finished. ``progress`` is
    called after each picture. Raises :class:`OutputError` if the archive cannot be written,
    :class:`FormatError` if what is there is damaged or of a newer version, :class:`SourceError` if there is
    no such source or if a picture is to end the run, and :class:`ModelError`. After any of them the archive
    is complete as far as it goes.
    """
    settings = settings or Settings()
    stop = stop or threading.Event()
    arrow(), parquet()
    store = open_store(destination)
    counts, started = Counts(), monotonic()
    with ExitStack() as stack:
        listing = scan([os.fspath(source) for source in sources], counts)
        stack.enter_context(store.locked())
        ledger = Ledger(store)
        ledger.check_header(create=True)
        records = recover(store, ledger, counts)
        index = stack.enter_context(open_index(store, records, keep=True))
        run = Collector(store, ledger, index, settings, counts)
        engine = engine or local_engine(settings)
        try:
            for item, outcome in engine(run.wanted(listing), stop):
                run.take(item, outcome)
                counts.seconds = monotonic() - started
                progress(counts)
        except SourceError:
            run.close()
            raise
        except BaseException:
            run.abandon()
            raise
        run.close()
        counts.interrupted = stop.is_set()
    counts.seconds = monotonic() - started
    counts.check()
    progress(counts)
    return counts


def local_engine(settings: Settings) -> Engine:
    """Returns the engine of processes on this machine."""

    def engine(items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Any]]:
        with WorkerPool(partial(Encoder, settings.work), settings.processes) as pool:
            yield from pool.imap(items, stop)

    return engine


def recover(store: Store, ledger: Ledger, counts: Counts) -> list[Record]:
    """Records the parts that an earlier run had written when it died; returns the records of all parts.

    A part that does not verify, latents included, or that holds a picture of a recorded part, is deleted: its
    pictures are encoded again.
    """
    records = ledger.recorded()
    unrecorded = ledger.unrecorded()
    if not unrecorded:
        return records
    with open_index(store, records, keep=False) as index:
        for name in unrecorded:
            try:
                sha256 = check_part(store.open(name), name, decode=True)
                with store.open(name) as file:
                    part = open_part(file, name)
                    rows = [row for group in groups_of(part, name, ["id", "duplicate_of"]) for row in group]
                    groups = tuple(part.metadata.row_group(n).num_rows for n in range(part.num_row_groups))
                ids = {row["id"] for row in rows}
                if any(row["id"] in index or not _has_original(row, ids, index) for row in rows):
                    raise FormatError(f"{name} holds pictures of other parts")
            except FormatError:
                store.delete(name)
                continue
            record = Record(name, len(rows), store.sizes("parts")[name], sha256, groups)
            ledger.record(record)
            counts.recovered += len(rows)
            records.append(record)
    return ledger.recorded()


def _has_original(row: Row, ids: set[str], index: Index) -> bool:
    original = row["duplicate_of"]
    return original is None or original in ids or original in index


class Collector:
    """Takes the outcomes of one run and writes them."""

    def __init__(
        self, store: Store, ledger: Ledger, index: Index, settings: Settings, counts: Counts
    ) -> None:
        self._store, self._ledger, self._index = store, ledger, index
        self._settings, self._counts = settings, counts
        self._errors = ErrorTable(store)
        self._part: PartWriter | None = None
        self._rows: list[dict[str, str | None]] = []
        self._contents: dict[str, str] = {}
        self._under_way: set[str] = set()

    def wanted(self, listing: Iterable[Item | Problem]) -> Iterator[Item]:
        """Yields the items to encode, and counts the others."""
        for item in listing:
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

    def take(self, item: Item, outcome: Encoded | Failure | Died) -> None:
        """Writes what became of an item. Raises :class:`OutputError`, and :class:`SourceError` to stop."""
        if isinstance(outcome, Died):
            outcome = Failure("WorkerDied", outcome.reason)
        if isinstance(outcome, Failure):
            self._under_way.discard(item.id)
            self._fail(item, outcome)
            return
        self._archive(self._deduplicated(outcome.row))

    def close(self) -> None:
        """Finishes what is open. Raises :class:`OutputError`."""
        self._close_part()
        self._errors.compact(self._index.__contains__)

    def abandon(self) -> None:
        """Deletes the temporary file of the open part."""
        if self._part is not None:
            with self._part.discarding():
                self._part = None

    def _archive(self, row: Row) -> None:
        if self._part is None:
            self._part = PartWriter(self._store, self._ledger, decode=self._settings.verify == "decode")
        part, counts = self._part, self._counts
        part.add(row)
        self._rows.append({name: row[name] for name in ("id", "name", "source_sha256", "duplicate_of")})
        counts.input += 1
        counts.archived += 1
        counts.duplicates += row["duplicate_of"] is not None
        counts.originals += row["original"] is not None
        counts.bytes_in += row["source_bytes"]
        counts.bytes_out += row["payload_bytes"] + len(row["original"] or b"")
        if part.bytes >= self._settings.part_size or monotonic() - part.started > self._settings.part_seconds:
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
        record = part.close()
        try:
            self._index.add(record, self._rows)
        except sqlite3.Error as error:
            raise OutputError(f"the index of {self._store.address} cannot be written ({error})") from error
        self._under_way.difference_update(row["id"] for row in self._rows)
        self._rows, self._contents = [], {}
        self._counts.parts += 1

    def _fail(self, item: Item | Problem, failure: Failure) -> None:
        self._counts.input += 1
        self._counts.failed += 1
        self._errors.add(item, failure)
        if self._settings.on_error == "stop":
            raise SourceError(f"{item.uri}: {failure.reason} (the run stops at the first error)")
