"""The engine of many machines: Ray Data reads and encodes pictures, this process writes the parts.

::

    items ─ window ─ read (tasks) ─ encode (actors, one codec each) ─ rows in order ─ collector

Rows, parts and the rules for going on are those of the local engine, because the same collector writes. Ray
starts tasks and actors anew when their process or node dies. An encoding actor has its codec in a worker
process of its own (:mod:`calotype.archive.pool`): a picture that kills it is tried twice, as by the local
engine, and cannot kill actor after actor.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from calotype.archive.extras import ray_data
from calotype.archive.item import Item, is_url
from calotype.archive.pool import Died, WorkerPool
from calotype.archive.work import Encoded, Encoder, Failure, Work, failure_of
from calotype.errors import CalotypeError
from calotype.limits import Limits

__all__ = ["RaySettings", "ray_engine"]

_WINDOW = 1000
"""Pictures for each encoder that are handed to Ray Data at once. At the end of a window encoders wait for the
last of them, and start anew: a few seconds."""

_BLOCK = 8
"""Pictures in a block, which is what Ray moves and repeats."""

Outcome = Encoded | Failure | Died


@dataclass(frozen=True)
class RaySettings:
    """What Ray gives to the stages.

    ``encoders``: how many actors encode; None: as many as fit. ``encoder_cpus`` and ``encoder_gpus`` are what
    each of them is given; they compute with one thread. ``readers``: how many tasks read at once; None: as
    many as encode. Reading waits for storage and is given no CPU, so that it goes on when the encoders have
    all that a cluster, which may have lost nodes, has left. ``address``: of the cluster; None: that of
    ``RAY_ADDRESS``, or else a cluster on this machine, which ends with the run. Raises ``ValueError``.
    """

    encoders: int | None = None
    encoder_cpus: float = 1.0
    encoder_gpus: float = 0.0
    readers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        for name in ("encoders", "readers"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must be positive or None")
        if not self.encoder_cpus > 0:
            raise ValueError(f"encoder_cpus (={self.encoder_cpus}) must be above 0")
        if not self.encoder_gpus >= 0:
            raise ValueError(f"encoder_gpus (={self.encoder_gpus}) must be at least 0")


def ray_engine(
    work: Work, settings: RaySettings | None = None
) -> Callable[[Iterable[Item], threading.Event], Iterator[tuple[Item, Any]]]:
    """Returns the engine for :func:`calotype.archive.create`.

    Raises :class:`ModelError` if Ray is not installed. The engine raises :class:`CalotypeError` if the
    cluster cannot be reached or fails.
    """
    settings = settings or RaySettings()
    ray_data()
    logging.getLogger("ray.data").setLevel(logging.ERROR)

    def engine(items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Any]]:
        with _cluster(settings):
            encoders = settings.encoders or _encoders_that_fit(settings)
            remaining = iter(items)
            while not stop.is_set() and (window := list(islice(remaining, _WINDOW * encoders))):
                rows = _rows(window, work, settings, min(encoders, len(window)))
                for item, row in zip(window, rows, strict=True):
                    outcome: Outcome = pickle.loads(row["outcome"])
                    if row["id"] != item.id:
                        raise CalotypeError("internal error, please report it: Ray mixed up the pictures")
                    yield item, outcome
                    if stop.is_set():
                        return

    return engine


def _rows(window: list[Item], work: Work, settings: RaySettings, encoders: int) -> Iterator[dict[str, Any]]:
    """Yields a row with the id and the pickled outcome of each item, in order."""
    data = ray_data()
    tasks = [{"id": item.id, "item": pickle.dumps(_placed(item))} for item in window]
    items = data.from_items(tasks, override_num_blocks=-(-len(tasks) // _BLOCK))
    items.context.execution_options.preserve_order = True
    items.context.enable_progress_bars = False
    readers = settings.readers or encoders
    read = items.map(_read, fn_kwargs={"limits": work.options.limits}, num_cpus=0, concurrency=readers)
    rows = read.map(
        _RayEncoder,
        fn_constructor_args=(work,),
        compute=data.ActorPoolStrategy(
            min_size=1, max_size=encoders, initial_size=min(encoders, _encoders_that_fit(settings))
        ),
        num_cpus=settings.encoder_cpus,
        num_gpus=settings.encoder_gpus,
    )
    try:
        yield from rows.iter_rows()
    except (CalotypeError, GeneratorExit):
        raise
    except Exception as error:  # Ray raises many kinds
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CalotypeError(f"Ray cannot go on: {reason[-1]}") from error


def _read(row: dict[str, Any], *, limits: Limits) -> dict[str, Any]:
    """The reading stage: puts the bytes of a picture into its item, or a failure in its place."""
    item: Item = pickle.loads(row["item"])
    task: Item | Failure
    try:
        task = replace(item, data=item.read(limits))
    except Exception as error:
        task = failure_of(error)
    return {"id": row["id"], "task": pickle.dumps(task)}


class _RayEncoder:
    """The encoding stage: an actor with one worker process, which holds the codec."""

    def __init__(self, work: Work) -> None:
        self._pool = WorkerPool(partial(Encoder, work), 1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        outcome = task = pickle.loads(row["task"])
        if isinstance(task, Item):
            ((_, outcome),) = self._pool.imap([task], threading.Event())
        return {"id": row["id"], "outcome": pickle.dumps(outcome)}


def _placed(item: Item) -> Item:
    """Returns an item that is found from other folders: workers of Ray run in folders of their own."""
    return item if is_url(item.location) else replace(item, location=str(Path(item.location).absolute()))


@contextmanager
def _cluster(settings: RaySettings) -> Iterator[None]:
    """Connects to the cluster, unless the program has done so; one that is started here ends here."""
    import ray

    if ray.is_initialized():
        yield
        return
    address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its processes write to this terminal
    cores = (
        {"num_cpus": math.ceil(settings.encoders * settings.encoder_cpus)}
        if address == "local" and settings.encoders
        else {}
    )
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **cores)
    except Exception as error:  # of the network, of versions that differ ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CalotypeError(f"the Ray cluster {address} cannot be used: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _encoders_that_fit(settings: RaySettings) -> int:
    import ray

    resources = ray.cluster_resources()
    fit = int(resources.get("CPU", 1) / settings.encoder_cpus)
    if settings.encoder_gpus:
        fit = min(fit, int(resources.get("GPU", 0) / settings.encoder_gpus))
    return max(fit, 1)
