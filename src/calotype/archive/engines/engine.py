"""Engines, which encode the pictures of a run and write its parts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from calotype.archive.engines.encoder import Encoded, Encoder, Failure, Work
from calotype.archive.engines.worker_pool import Died, WorkerPool
from calotype.archive.part_writer import PartWriter
from calotype.archive.records import Record
from calotype.archive.schema import Row
from calotype.archive.sources.item import Item
from calotype.archive.store import Store

__all__ = ["Engine", "LocalEngine", "OpenPart", "Outcome"]

Outcome = Encoded | Failure | Died
"""The types of the result of a picture."""


class OpenPart(Protocol):
    """A part to which rows can be added until it is closed."""

    def add(self, row: Row) -> None:
        """Appends a row. Raises :class:`OutputError`."""

    def close(self, name: str) -> Future[Record]:
        """Writes the part under this name in the archive, and verifies it.

        The result is its record. If the part cannot be written, it does not exist, and this method or the
        future raises :class:`OutputError`.
        """

    def discard(self) -> None:
        """Deletes the part."""


class Engine(ABC):
    """The stages of a run: pictures are encoded, and their rows are written in parts.

    It is used as a context manager, in which both stages run. This class writes parts in the calling process.
    """

    parts_in_flight = 0
    """The number of closed parts that may be written while rows are added to the next one."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        """Yields each item with its outcome, in the order of ``items``, until ``stop`` is set."""

    def open_part(self, store: Store, *, decode: bool) -> OpenPart:
        """Returns a new part; with ``decode`` the latents of each payload are decoded to verify it."""
        return _LocalPart(store, decode=decode)


class LocalEngine(Engine):
    """The engine with worker processes on this machine, with one codec and one thread each."""

    def __init__(self, work: Work, workers: int) -> None:
        self._work, self._workers = work, workers

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        with WorkerPool(partial(Encoder, self._work), self._workers) as pool:
            yield from pool.imap(items, stop)


class _LocalPart:
    """A part that this process writes."""

    def __init__(self, store: Store, *, decode: bool) -> None:
        self._writer = PartWriter(store, decode=decode)

    def add(self, row: Row) -> None:
        self._writer.add(row)

    def close(self, name: str) -> Future[Record]:
        future = Future[Record]()
        future.set_result(self._writer.close(name))
        return future

    def discard(self) -> None:
        self._writer.discard()
