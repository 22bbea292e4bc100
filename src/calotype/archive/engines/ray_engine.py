"""The engine of many machines: Ray Data reads and encodes pictures, and tasks of Ray write the parts.

::

    items ─ window ─ read (tasks) ─ encode (actors, one codec each) ─ rows ─ collector ─ write (tasks)

Rows, parts and the continuation of runs are those of the local engine, because the collector and the writer
of parts are the same. Ray starts tasks and actors anew when their process or node ends. An encoding actor has
its codec in a worker process of its own (:mod:`calotype.archive.engines.worker_pool`): as in the local
engine, a picture on which the process ends is tried twice, and does not end one actor after the other.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from calotype.archive.engines.encoder import Encoder, Failure, Work, failure_of
from calotype.archive.engines.engine import Engine, OpenPart, Outcome
from calotype.archive.engines.interruptible import interruptible
from calotype.archive.engines.ray_cluster import RaySettings, connected, encoders_that_fit
from calotype.archive.engines.ray_parts import RayPart
from calotype.archive.engines.worker_pool import WorkerPool
from calotype.archive.extras import ray_data
from calotype.archive.sources.item import Item, absolute
from calotype.archive.store import Store
from calotype.errors import CalotypeError
from calotype.limits import Limits

__all__ = ["MAX_WINDOW", "WINDOW", "RayEngine", "block_of"]

WINDOW = 1000
"""The number of pictures for each encoder that are handed to Ray Data at once.

At the end of such a window encoders wait for the last picture and start anew, which takes a few seconds."""

MAX_WINDOW = 500_000
"""The largest number of pictures in a window: the calling process holds some 1 kB of each in memory."""

_SMALL_BLOCK, _LARGE_BLOCK = 8, 32
"""The numbers of pictures in a block, which is what Ray moves and repeats, for few and for many encoders.

Blocks of many encoders are large because each block takes Ray Data some 12 ms of the calling process."""

_MANY_ENCODERS = 32
"""The number of encoders from which on blocks are large."""


def block_of(encoders: int) -> int:
    """Returns the number of pictures in a block for so many encoders."""
    return _SMALL_BLOCK if encoders < _MANY_ENCODERS else _LARGE_BLOCK


class RayEngine(Engine):
    """The engine for :func:`calotype.archive.create` on a Ray cluster.

    It raises :class:`ModelError` if Ray is not installed, and :class:`CalotypeError` if the cluster cannot be
    reached or fails.
    """

    def __init__(self, work: Work, settings: RaySettings | None = None) -> None:
        self._work, self._settings = work, settings or RaySettings()
        self._stack, self._parts = ExitStack(), list[RayPart]()
        self.parts_in_flight = self._settings.writers
        ray_data()
        logging.getLogger("ray.data").setLevel(logging.ERROR)

    def __enter__(self) -> RayEngine:
        with ExitStack() as stack:
            stack.enter_context(connected(self._settings))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            for part in self._parts:
                part.cancel()

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        encoders = self._settings.encoders or encoders_that_fit(self._settings)
        remaining = iter(items)
        while not stop.is_set() and (window := list(islice(remaining, min(WINDOW * encoders, MAX_WINDOW)))):
            rows = interruptible(self._rows(window, min(encoders, len(window))), stop)
            awaited = iter(window)
            for row in rows:
                item, outcome = next(awaited, None), pickle.loads(row["outcome"])
                if item is None or row["id"] != item.id:
                    raise CalotypeError("internal error, please report it: Ray mixed up the pictures")
                yield item, outcome
            if not stop.is_set() and next(awaited, None) is not None:
                raise CalotypeError("internal error, please report it: Ray has lost pictures")

    def open_part(self, store: Store, *, decode: bool) -> OpenPart:
        part = RayPart(store, self._settings, decode=decode)
        self._parts = [other for other in self._parts if not other.is_settled()] + [part]
        return part

    def _rows(self, window: list[Item], encoders: int) -> Iterator[dict[str, Any]]:
        """Yields a row with the id and the pickled outcome of each item, in order."""
        try:
            yield from self._dataset(window, encoders).iter_rows()
        except (CalotypeError, GeneratorExit):
            raise
        except Exception as error:  # Ray raises exceptions of many types.
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise CalotypeError(f"Ray cannot go on: {reason[-1]}") from error

    def _dataset(self, window: list[Item], encoders: int) -> Any:
        """Returns the ``ray.data.Dataset`` that reads and encodes the items when its rows are asked for."""
        data, settings = ray_data(), self._settings
        tasks = [{"id": item.id, "item": pickle.dumps(_placed(item))} for item in window]
        blocks = -(-len(tasks) // block_of(encoders))
        items = data.from_items(tasks, override_num_blocks=blocks)
        items.context.execution_options.preserve_order = True
        items.context.enable_progress_bars = False
        read = items.map(
            _read,
            fn_kwargs={"limits": self._work.options.limits},
            num_cpus=settings.reader_cpus,
            concurrency=min(settings.readers or encoders, blocks),
        )
        return read.map(
            _RayEncoder,
            fn_constructor_args=(self._work,),
            compute=data.ActorPoolStrategy(
                min_size=1, max_size=encoders, initial_size=min(encoders, encoders_that_fit(settings))
            ),
            num_cpus=settings.encoder_cpus,
            num_gpus=settings.encoder_gpus,
        )


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
        self._pool.start()  # While the first pictures are read.

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        outcome = task = pickle.loads(row["task"])
        if isinstance(task, Item):
            ((_, outcome),) = self._pool.imap([task], threading.Event())
        return {"id": row["id"], "outcome": pickle.dumps(outcome)}


def _placed(item: Item) -> Item:
    """Returns an item with an absolute path: workers of Ray run in folders of their own."""
    return replace(item, location=absolute(item.location))
