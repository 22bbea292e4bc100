"""Comparisons of plans with the archives that they predict, on real photographs."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from calotype.archive import Archive, Engine, PlanSettings, Settings, Work, create, plan
from calotype.archive.engines.encoder import Encoded
from calotype.archive.engines.engine import Outcome
from calotype.archive.engines.worker_pool import WorkerPool
from calotype.archive.planning.sample import Measured, Sampler
from calotype.archive.sources.item import Item
from calotype.options import EncodeOptions

__all__ = ["Check", "checked"]


@dataclass(frozen=True)
class Check:
    """One plan and the archive that it predicts.

    The plan encoded ``encoded`` pictures and predicts ``predicted`` bytes, with an interval from ``low`` to
    ``high``, and ``seconds`` of a core. The archive has ``actual`` bytes and took ``actual_seconds``.
    """

    seed: int
    encoded: int
    predicted: float
    low: float
    high: float
    actual: int
    seconds: float
    actual_seconds: float

    @property
    def error(self) -> float:
        """Returns the error of the predicted bytes, relative to the bytes of the archive."""
        return self.predicted / self.actual - 1

    @property
    def holds(self) -> bool:
        """Returns whether the interval contains the bytes of the archive."""
        return self.low <= self.actual <= self.high


class _KnownResults(Engine):
    """Encodes each picture once, for the archive, and gives the same results to every plan."""

    def __init__(self, work: Work, workers: int) -> None:
        self._work, self._workers = work, workers
        self._sampled: dict[str, list[Measured]] = {}
        self._sampler = Sampler((work,))

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        with WorkerPool(partial(Sampler, (self._work,)), self._workers) as pool:
            for (item, _), results in pool.imap(((item, True) for item in items), stop):
                self._sampled[item.id] = results
                outcome = results[0].outcome
                yield item, Encoded(outcome) if isinstance(outcome, dict) else outcome

    def seconds(self) -> float:
        """Returns the seconds of a core of all pictures."""
        return sum(results[0].seconds for results in self._sampled.values())

    def sample(self, tasks: Iterable[tuple[Item, bool]], _: threading.Event) -> Iterator[tuple[Any, Any]]:
        """Yields the results for a plan; this is the engine of plans."""
        for task in tasks:
            item, encode = task
            yield task, self._sampled[item.id] if encode else self._sampler(task)


def checked(folder: Path, plans: int, workers: int, effort: int, quality: float) -> Iterator[Check]:
    """Archives the pictures of ``folder`` and yields a check of each of ``plans`` plans, by their seeds.

    The settings of the plans are the default ones.
    """
    work = Work(EncodeOptions(effort=effort, quality=quality))
    engine = _KnownResults(work, workers)
    with tempfile.TemporaryDirectory() as out:
        create([folder], Path(out, "archive"), Settings(work), engine=engine)
        with Archive(Path(out, "archive")) as archive:
            size = archive.stats()["file_bytes"]
    seconds = engine.seconds()
    for seed in range(plans):
        made = plan([folder], PlanSettings((work,), seed=seed), engine=engine.sample)
        (prediction,) = made.predictions
        archive_bytes = prediction.archive_bytes
        yield Check(
            seed,
            made.encoded,
            archive_bytes.value,
            archive_bytes.low,
            archive_bytes.high,
            size,
            prediction.core_seconds.value,
            seconds,
        )
