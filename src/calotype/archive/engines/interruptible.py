"""Iteration that can be stopped while the next item is awaited."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TypeVar

__all__ = ["interruptible"]

_TICK = 0.2
"""The time between two checks of the event that stops, in seconds."""

_AHEAD = 64
"""The number of items that are taken before they are asked for: it bounds the memory."""

Item = TypeVar("Item")


def interruptible(items: Iterable[Item], stop: threading.Event) -> Iterator[Item]:
    """Yields ``items`` until ``stop`` is set, even while the next one is awaited.

    A thread takes the items, and its exceptions are raised here. If the iteration ends early, that thread
    ends with the next item, and nobody waits for it.
    """
    taken: Queue[tuple[Item] | BaseException | None] = Queue(_AHEAD)
    ended = threading.Event()

    def hand_over(result: tuple[Item] | BaseException | None) -> None:
        while not ended.is_set():
            with suppress(Full):
                taken.put(result, timeout=_TICK)
                return

    def take() -> None:
        try:
            for item in items:
                hand_over((item,))
                if ended.is_set():
                    return
            hand_over(None)
        except BaseException as error:
            hand_over(error)

    threading.Thread(target=take, name="calotype-archive-rows", daemon=True).start()
    try:
        while not stop.is_set():
            try:
                result = taken.get(timeout=_TICK)
            except Empty:
                continue
            if result is None:
                return
            if isinstance(result, BaseException):
                raise result
            yield result[0]
    finally:
        ended.set()
