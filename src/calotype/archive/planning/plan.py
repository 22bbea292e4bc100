"""The plan of an archive: bytes, time and scores, predicted from a sample of the source.

::

    listing ─ random sample ─┬─ sizes of many              auxiliary variables
                             └─ some encoded, by settings  bytes, seconds, scores
                                      └─ more until the intervals are narrow enough
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calotype.archive.counts import Counts
from calotype.archive.engines.encoder import SCORES, Failure, Work
from calotype.archive.engines.worker_pool import Died, WorkerPool
from calotype.archive.planning.estimate import Estimate, estimate_mean
from calotype.archive.planning.overhead import Overhead
from calotype.archive.planning.sample import Draw, Measured, Sampler, Size, draw
from calotype.archive.schema import Row, picture_bytes
from calotype.archive.settings import Settings
from calotype.archive.sources import scan
from calotype.archive.sources.item import Item
from calotype.cores import available_cores
from calotype.errors import SourceError

__all__ = ["Plan", "PlanSettings", "Prediction", "plan"]

Engine = Callable[[Iterable[tuple[Item, bool]], threading.Event], Iterator[tuple[Any, Any]]]
"""A function that yields each task of a :class:`Sampler` with its result, in order, until stopped."""

_GROWTH = 1.5
"""The factor by which the sample grows in each iteration, until it is large enough."""


@dataclass(frozen=True)
class PlanSettings:
    """The settings of a plan.

    ``works`` are the settings to compare. Pictures are encoded with each, at least ``least`` and at most
    ``most`` of them, until the archive's bytes are known to within ``precision`` (relative, to either side)
    for each. The sizes of up to ``headers`` pictures are read. ``workers`` is the number of processes, each
    with one codec and one thread; None means one for each core. ``seed`` determines the sample. ``part_size``
    is that of the archive, in bytes. Raises ``ValueError``.
    """

    works: tuple[Work, ...]
    precision: float = 0.03
    least: int = 40
    most: int = 1000
    headers: int = 4000
    workers: int | None = None
    seed: int = 0
    part_size: int = Settings.part_size

    def __post_init__(self) -> None:
        if not self.works or len({(work.backend, work.options.limits) for work in self.works}) > 1:
            raise ValueError("works must be settings with one backend and one set of limits")
        if not self.precision > 0:
            raise ValueError(f"precision (={self.precision}) must be above 0")
        if not 1 <= self.least <= self.most:
            raise ValueError(f"least (={self.least}) must be between 1 and most (={self.most})")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers (={self.workers}) must be positive, or None for every core")


@dataclass(frozen=True)
class Prediction:
    """The prediction for an archive with one of the settings.

    ``archive_bytes`` is the size of all parts, and ``payload_bytes`` that of the ``.calo`` files and kept
    originals in them. ``core_seconds`` is the time of one core to read, encode and measure all pictures.
    ``scores`` are means over the pictures, by metric. ``failed`` is the fraction of the pictures that cannot
    be archived, and ``originals`` the fraction that keeps its original.
    """

    work: Work
    archive_bytes: Estimate
    payload_bytes: Estimate
    core_seconds: Estimate
    scores: dict[str, Estimate]
    failed: Estimate
    originals: Estimate


@dataclass(frozen=True)
class Plan:
    """The plan of an archive.

    ``pictures`` were listed; the headers of ``measured`` of them were read, and ``encoded`` of them were
    encoded with each setting. ``problems`` counts the sources that cannot be listed, and ``ignored`` the
    files whose names are not those of pictures. ``source_bytes`` and ``pixels`` are sums over all pictures.
    ``reasons`` counts the errors in the sample by class.
    """

    pictures: int
    measured: int
    encoded: int
    problems: int
    ignored: int
    source_bytes: Estimate
    pixels: Estimate
    predictions: tuple[Prediction, ...]
    reasons: dict[str, int]
    interrupted: bool


def plan(
    sources: Sequence[str | os.PathLike[str]],
    settings: PlanSettings,
    *,
    engine: Engine | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> Plan:
    """Predicts bytes, time and scores of an archive of ``sources``; nothing is written.

    ``sources`` are those of :func:`calotype.archive.create`; their listing is read to its end. Equal files,
    which ``--dedupe`` stores once, count each time. ``engine`` does the tasks of a :class:`Sampler`; None
    uses processes on this machine. ``progress`` is called with the phase ("listed", "measured" or "encoded")
    and a number of pictures. As soon as ``stop`` is set, the plan is made from the pictures encoded so far.
    Raises :class:`SourceError` if there is no such source, or no picture in it.
    """
    stop, counts = stop or threading.Event(), Counts()
    listing = scan([os.fspath(source) for source in sources], counts)
    with tempfile.TemporaryDirectory(prefix=".calotype-") as folder:
        drawn = draw(listing, counts, settings.headers, settings.seed, Path(folder))
        if not drawn.items:
            raise SourceError("there are no pictures to plan for in the sources")
        progress("listed", drawn.pictures)
        with ExitStack() as stack:
            if engine is None:
                workers = settings.workers or available_cores()
                engine = stack.enter_context(WorkerPool(partial(Sampler, settings.works), workers)).imap
            sizes = list[Size]()
            for _, result in engine([(item, False) for item in drawn.items], threading.Event()):
                sizes.append(result if isinstance(result, Size) else Size(0, 0))
                progress("measured", len(sizes))
            sample, wanted = _Sample(drawn, sizes, settings), settings.least
            while sample.count < min(wanted, settings.most, len(drawn.items)) and not stop.is_set():
                tasks = [(item, True) for item in drawn.items[sample.count : min(wanted, settings.most)]]
                for _, result in engine(tasks, stop):
                    sample.add(result)
                    progress("encoded", sample.count)
                if not sample.is_precise():
                    wanted = int(wanted * _GROWTH) + 1
    return sample.plan(interrupted=stop.is_set())


class _Sample:
    """The pictures that have been encoded so far, and the predictions that they give."""

    def __init__(self, drawn: Draw, sizes: Sequence[Size], settings: PlanSettings) -> None:
        self._drawn, self._settings = drawn, settings
        self._sizes = np.array([(size.pixels, size.source_bytes) for size in sizes], np.float64)
        self._measured: list[list[Measured]] = [[] for _ in settings.works]

    @property
    def count(self) -> int:
        return len(self._measured[0])

    def add(self, result: list[Measured] | Died) -> None:
        if isinstance(result, Died):
            result = [Measured(Failure("WorkerDied", result.reason), 0.0)] * len(self._measured)
        for measured, measurement in zip(self._measured, result, strict=True):
            measured.append(measurement)

    def is_precise(self) -> bool:
        """Returns whether the intervals of the payloads' bytes are narrow enough."""
        half_widths = [self._mean(_bytes_of(measured)).relative_half_width for measured in self._measured]
        return max(half_widths) <= self._settings.precision

    def plan(self, *, interrupted: bool) -> Plan:
        pictures = self._drawn.pictures
        pixels, source_bytes = (estimate_mean(column, pictures, lower_bound=0) for column in self._sizes.T)
        reasons = Counter(
            measurement.outcome.kind
            for measurement in self._measured[0]
            if isinstance(measurement.outcome, Failure)
        )
        pairs = zip(self._settings.works, self._measured, strict=True)
        return Plan(
            pictures,
            len(self._sizes),
            self.count,
            self._drawn.problems,
            self._drawn.ignored,
            source_bytes.times(pictures),
            pixels.times(pictures),
            tuple(self._predicted(work, measured) for work, measured in pairs),
            dict(reasons),
            interrupted,
        )

    def _predicted(self, work: Work, measured: list[Measured]) -> Prediction:
        pictures, rows = self._drawn.pictures, [_row_of(measurement) for measurement in measured]
        archived = [row for row in rows if row is not None]
        failed = np.array([row is None for row in rows], np.float64)
        has_original = np.array([row is not None and row["original"] is not None for row in rows], np.float64)
        payload = self._mean(_bytes_of(measured)).times(pictures)
        overhead = 0.0
        if archived and payload.value:
            count = round(pictures * (1 - failed.mean()))
            names = [item.name for item in self._drawn.items]
            overhead = Overhead.measured(archived, names).of(count, payload.value, self._settings.part_size)
        scores = {name: [row[name] for row in archived if row[name] is not None] for name in SCORES}
        return Prediction(
            work,
            Estimate(payload.value + overhead, payload.low + overhead, payload.high + overhead),
            payload,
            self._mean(np.array([measurement.seconds for measurement in measured])).times(pictures),
            {
                name: estimate_mean(np.array(values, np.float64), pictures)
                for name, values in scores.items()
                if values
            },
            estimate_mean(failed, pictures, lower_bound=0),
            estimate_mean(has_original, pictures, lower_bound=0),
        )

    def _mean(self, values: np.ndarray[Any, np.dtype[np.float64]]) -> Estimate:
        return estimate_mean(
            values, self._drawn.pictures, self._sizes[: len(values)], self._sizes, lower_bound=0
        )


def _row_of(measured: Measured) -> Row | None:
    return None if isinstance(measured.outcome, Failure) else measured.outcome


def _bytes_of(measured: Sequence[Measured]) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = map(_row_of, measured)
    return np.array([0 if row is None else picture_bytes(row) for row in rows], np.float64)
