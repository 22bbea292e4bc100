"""Exporting an archive: to files in a folder, or to WebDataset shards, as stored, as pictures or as latents.

::

    archive ─ selection ─ converter (processes) ─ sink ─┬─ folder
                                                        └─ shards
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from time import monotonic
from typing import Any

from calotype.archive.engines.encoder import Failure
from calotype.archive.engines.worker_pool import Died, WorkerPool
from calotype.archive.exporting.conversion import STORED, Content, Conversion, Converter
from calotype.archive.exporting.sinks import Existing, FolderSink, ShardSink, Sink
from calotype.archive.reader import Archive
from calotype.archive.schema import Row
from calotype.archive.store import open_store
from calotype.cores import available_cores
from calotype.errors import SourceError

__all__ = ["ExportCounts", "ExportSettings", "export"]

_MAX_EXTENSION = 10
"""The largest number of characters in the extension of a kept original, the dot included."""

_LIGHT = ["id", "name", "payload_sha256", "duplicate_of"]
"""The columns that select pictures and name their outputs."""


@dataclass(frozen=True)
class ExportSettings:
    """The settings of an export.

    With ``webdataset`` tar files of ``shard_pictures`` pictures each are written, otherwise one file for each
    picture. ``existing`` says whether an existing output is refused, replaced or kept; with "keep" a run goes
    on where an earlier one ended. ``workers`` is the number of processes, each with one codec and one thread;
    None means one for each core. The export of stored files needs no processes. Raises ``ValueError``.
    """

    conversion: Conversion = field(default_factory=Conversion)
    webdataset: bool = False
    shard_pictures: int = 10_000
    existing: Existing = "refuse"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.shard_pictures < 1:
            raise ValueError(f"shard_pictures (={self.shard_pictures}) must be positive")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers (={self.workers}) must be positive, or None for every core")


@dataclass
class ExportCounts:
    """The counts of the pictures of an export by their results.

    ``selected`` is the sum of ``exported``, ``kept`` (their output existed), ``failed`` and
    ``without_latents`` (they kept their original instead of a payload), unless the run was ``interrupted``.
    ``files`` is the number of written files, and ``bytes`` the sum of their sizes.
    """

    selected: int = 0
    exported: int = 0
    kept: int = 0
    failed: int = 0
    without_latents: int = 0
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    interrupted: bool = False


@dataclass(frozen=True)
class _Task:
    """A picture to export: its row, its stored content, and the place of its output."""

    row: Row
    content: Content
    place: str


def export(
    archive: Archive,
    destination: str | os.PathLike[str],
    settings: ExportSettings | None = None,
    *,
    patterns: Sequence[str] = (),
    stop: threading.Event | None = None,
    failed: Callable[[str, Failure], None] = lambda name, failure: None,
    progress: Callable[[ExportCounts], None] = lambda counts: None,
) -> ExportCounts:
    """Writes pictures of an archive to ``destination``, a folder or URL, in the order of the archive.

    ``patterns`` are ids, names and patterns of names; without any all pictures are exported. ``failed`` is
    called for each picture that cannot be exported, and ``progress`` after each picture. The run ends as soon
    as ``stop`` is set. A file or shard appears when it is complete. Raises :class:`OutputError` if an output
    cannot be written, or exists and must not, :class:`SourceError` if no picture has a given id or name, and
    :class:`FormatError` if the archive is damaged.
    """
    settings, stop, started = settings or ExportSettings(), stop or threading.Event(), monotonic()
    store, counts = open_store(destination), ExportCounts()
    sink: Sink = FolderSink(store, settings.existing)
    if settings.webdataset:
        sink = ShardSink(store, settings.existing, settings.shard_pictures)
    for name in patterns:
        if not _is_pattern(name) and name not in archive:
            raise SourceError(f"{archive.address} has no picture {name!r}")

    def update() -> None:
        counts.bytes, counts.files, counts.seconds = sink.bytes, sink.files, monotonic() - started
        progress(counts)

    try:
        for task, result in _converted(_tasks(archive, sink, settings, patterns, counts), settings, stop):
            if isinstance(result, bytes):
                sink.add(task.place, task.row, result)
                counts.exported += 1
            else:
                counts.failed += 1
                failed(task.row["name"], result)
            update()
        counts.interrupted = stop.is_set()
        sink.abandon() if counts.interrupted else sink.close()
    except BaseException:
        sink.abandon()
        raise
    update()
    return counts


def _converted(
    tasks: Iterator[_Task], settings: ExportSettings, stop: threading.Event
) -> Iterator[tuple[_Task, bytes | Failure]]:
    """Yields each task with its exported file, in order."""
    conversion = settings.conversion
    if conversion.format == STORED:
        converter = Converter(conversion)
        for task in tasks:
            if stop.is_set():
                return
            yield task, converter(task.content)
        return
    make = partial(_Worker, conversion)
    with WorkerPool(make, settings.workers or available_cores()) as pool:
        for task, result in pool.imap(tasks, stop):
            if isinstance(result, Died):
                result = Failure("WorkerDied", result.reason)
            yield task, result


class _Worker:
    """The converter in a worker process, which receives whole tasks."""

    def __init__(self, conversion: Conversion) -> None:
        self._converter = Converter(conversion)

    def __call__(self, task: _Task) -> bytes | Failure:
        return self._converter(task.content)


def _tasks(
    archive: Archive, sink: Sink, settings: ExportSettings, patterns: Sequence[str], counts: ExportCounts
) -> Iterator[_Task]:
    """Yields the pictures to export. The payloads of a row group without any are not read."""
    conversion = settings.conversion
    for record in archive.records:
        for number in range(len(record.groups)):
            places: dict[int, str] = {}
            for index, light in enumerate(archive.group(record, number, _LIGHT)):
                if patterns and not any(_matches(light, pattern) for pattern in patterns):
                    continue
                counts.selected += 1
                kept_original = archive.resolved(light)["payload_sha256"] is None
                if conversion.makes_latents and kept_original:
                    counts.without_latents += 1
                    continue
                extension = f".{conversion.format}"
                if conversion.format == STORED and kept_original:
                    extension = _extension_of_original(light["name"])
                place = sink.place(light, extension)
                if place is None:
                    counts.kept += 1
                else:
                    places[index] = place
            rows: list[Row] = archive.group(record, number) if places else []
            for index, place in places.items():
                row: dict[str, Any] = archive.resolved(rows[index])
                content = Content(row["payload"], row["payload_sha256"], row["original"])
                known = {name: row[name] for name in archive.metadata_columns}
                yield _Task(known, content, place)


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _extension_of_original(name: str) -> str:
    """Returns the extension of a picture that kept its original; ``.bin`` if its name has none."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and len(suffix) <= _MAX_EXTENSION else ".bin"


def _matches(row: Row, pattern: str) -> bool:
    return pattern in (row["id"], row["name"]) or fnmatchcase(row["name"], pattern)
