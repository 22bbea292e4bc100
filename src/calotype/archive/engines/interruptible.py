"""Iteration that can be stopped while the next item is awaited."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TypeVar

__all__ = ["interruptible"]

_TICK = 0.2
"""The time between two checks of the event that stops, in seconds."""

_PATIENCE = 20.0
"""The longest time for which the end of the thread is awaited, in seconds."""

_AHEAD = 64
"""The number of items that are taken before they are asked for: it bounds the memory."""

Item = TypeVar("Item")


def interruptible(items: Iterable[Item], stop: threading.Event) -> Iterator[Item]:
    """Yields ``items`` until ``stop`` is set, even while the next one is awaited.

    A thread takes the items, and its exceptions are raised here. If the iteration ends early, an exception
    ends that thread within the Python code in which it awaits the next item.
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

    thread = threading.Thread(target=take, name="calotype-archive-rows", daemon=True)
    thread.start()
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
        _end(thread)


def _end(thread: threading.Thread) -> None:
    """Raises :class:`_EndedError` in a thread, and waits for its end."""
    if thread.is_alive() and thread.ident is not None:
        error = ctypes.py_object(_EndedError)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), error)
    thread.join(_PATIENCE)


class _EndedError(BaseException):
    """Ends the thread that takes the items."""
