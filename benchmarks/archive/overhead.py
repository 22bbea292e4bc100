"""The processor time that an archive takes in addition to the codec's own."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time

from calotype.archive import Engine, Settings, Work, create
from calotype.archive.engines.encoder import Encoder, codec_of
from calotype.archive.engines.engine import Outcome
from calotype.archive.engines.worker_pool import WorkerPool
from calotype.archive.sources.item import Item
from calotype.options import EncodeOptions

__all__ = ["Overhead", "overhead"]


@dataclass(frozen=True)
class Overhead:
    """Mean processor times of a picture in seconds.

    ``codec`` is that of the codec alone, ``worker`` that of a worker of the archive with its codec, and
    ``writer`` that of the process that lists, collects and writes. ``once`` is the time that this process
    takes once in a run, before the first picture and after the last.
    """

    workers: int
    pictures: int
    codec: float
    worker: float
    writer: float
    once: float

    @property
    def ratio(self) -> float:
        """Returns the additional time of the archive, relative to the time of the codec."""
        return (self.worker + self.writer) / self.codec - 1


class _Interleaved:
    """A worker that encodes each picture twice: as the archive does, and by the codec alone.

    The order of the two alternates. The times are written to a file of this worker. The time between two
    tasks, for example of the pipes, counts as the archive's.
    """

    def __init__(self, work: Work, folder: str) -> None:
        self._codec, self._options = codec_of(work), work.options
        self._encoder = Encoder(work, self._codec)
        self._notes = Path(tempfile.mkstemp(dir=folder, suffix=".jsonl")[1])
        self._archive_first = False
        self._ended: float | None = None

    def __call__(self, item: Item) -> Outcome:
        started = process_time()
        between = 0.0 if self._ended is None else started - self._ended
        self._archive_first = not self._archive_first
        alone = 0.0 if self._archive_first else self._alone(item)
        begun = process_time()
        outcome = self._encoder(item)
        archive = process_time() - begun
        if self._archive_first:
            alone = self._alone(item)
        if self._ended is not None:  # The models are loaded.
            with self._notes.open("a") as notes:
                notes.write(json.dumps([alone, archive + between]) + "\n")
        self._ended = process_time()
        return outcome

    def _alone(self, item: Item) -> float:
        started = process_time()
        self._codec.encode(item.location, self._options)
        return process_time() - started


class _InterleavedEngine(Engine):
    def __init__(self, work: Work, workers: int, folder: str) -> None:
        self._make, self._workers = partial(_Interleaved, work, folder), workers

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        with WorkerPool(self._make, self._workers) as pool:
            yield from pool.imap(items, stop)


def overhead(folder: Path, workers: int, effort: int) -> Overhead:
    """Archives the pictures of ``folder``. The first one of each worker, which loads the models, does not
    count.
    """
    work = Work(EncodeOptions(effort=effort))
    with tempfile.TemporaryDirectory() as notes, tempfile.TemporaryDirectory() as out:
        started, moments = process_time(), list[float]()
        engine = _InterleavedEngine(work, workers, notes)
        create(
            [folder],
            Path(out, "archive"),
            Settings(work),
            engine=engine,
            progress=lambda _: moments.append(process_time()),
        )
        taken = process_time() - started
        lines = [line for path in Path(notes).iterdir() for line in path.read_text().splitlines()]
    times = [json.loads(line) for line in lines]
    codec, worker = (sum(column) / len(times) for column in zip(*times, strict=True))
    *moments, _ = moments  # The last call of ``progress`` comes after the end of the run.
    pictures = moments[-1] - moments[0]
    writer = pictures / (len(moments) - 1)
    return Overhead(workers, len(times), codec, worker, writer, taken - pictures)
