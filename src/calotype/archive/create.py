"""Creates an archive: a run writes each picture of the input to a recorded part, or to the errors table.

::

    sources ─ scan ─ items ─ engine (processes, or Ray) ─ rows ─ collector ─┬─ engine ─ parts
                                                                            ├─ records, index
                                                                            └─ errors table

The engine returns rows in the order of the input, and a bounded number of pictures is under way. One
collector decides which rows make a part, and records parts in order, so that they do not depend on the
engine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic

from calotype.archive.collector import Collector
from calotype.archive.counts import Counts
from calotype.archive.engines.engine import Engine, LocalEngine
from calotype.archive.extras import arrow, parquet
from calotype.archive.index import Index, open_index
from calotype.archive.records import Ledger, Record
from calotype.archive.schema import Row
from calotype.archive.settings import Settings
from calotype.archive.sources import scan
from calotype.archive.store import Store, open_store
from calotype.archive.verify import check_part, groups_of, open_part
from calotype.errors import FormatError, SourceError

__all__ = ["create", "recover"]


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

    ``sources`` are folders, files, patterns, manifests, tar files or URLs. ``engine`` encodes and writes;
    None: processes on this machine. Once ``stop`` is set, the run ends with what is finished. ``progress`` is
    called after each picture, also after those that are not encoded. Raises :class:`OutputError` if the
    archive cannot be written, :class:`FormatError` if the archive is damaged or of a newer version,
    :class:`SourceError` if there is no such source or if a picture is to end the run, and
    :class:`ModelError`. After any of them the archive is complete as far as it goes.
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
        engine = stack.enter_context(engine or LocalEngine(settings.work, settings.processes))
        run = Collector(store, ledger, index, settings, counts, engine)

        def report() -> None:
            counts.seconds = monotonic() - started
            progress(counts)

        outcomes = engine.encode(run.wanted(listing, stop, report), stop)
        stack.callback(getattr(outcomes, "close", lambda: None))  # Encoding ends before its engine does.
        try:
            for item, outcome in outcomes:
                run.take(item, outcome)
                report()
        except SourceError:
            run.close()
            raise
        except BaseException:
            run.abandon()
            raise
        run.close()
        counts.interrupted = stop.is_set()
    counts.check()
    report()
    return counts


def recover(store: Store, ledger: Ledger, counts: Counts) -> list[Record]:
    """Records the parts that an earlier run had written when it ended; returns the records of all parts.

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
