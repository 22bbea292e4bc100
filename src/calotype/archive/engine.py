"""Engines: who encodes the pictures of a run, and who writes its parts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from calotype.archive.item import Item
from calotype.archive.ledger import Record
from calotype.archive.parts import PartWriter
from calotype.archive.pool import Died, WorkerPool
from calotype.archive.schema import Row
from calotype.archive.store import Store
from calotype.archive.work import Encoded, Encoder, Failure, Work

__all__ = ["Engine", "LocalEngine", "OpenPart", "Outcome"]

Outcome = Encoded | Failure | Died
"""What became of a picture."""


class OpenPart(Protocol):
    """A part that takes rows until it is closed."""

    def add(self, row: Row) -> None:
        """Appends a row. Raises :class:`OutputError`."""

    def close(self, name: str) -> Future[Record]:
        """Has the part written under this name in the archive, and verified.

        The result is its record. If the part cannot be written, nothing is left of it, and this method or
        the future raises :class:`OutputError`.
        """

    def discard(self) -> None:
        """Deletes what has been written of the part."""


class Engine(ABC):
    """The stages of a run: pictures are encoded, and their rows are written in parts.

    It is used as a context manager, in which both stages run. This class writes parts in the calling process.
    """

    parts_in_flight = 0
    """How many closed parts may be in writing while the next one takes rows."""

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
    """Worker processes on this machine, with one codec and one thread each."""

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
