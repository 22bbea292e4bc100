"""Signals and the progress line of the long-running commands of archives."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["INTERRUPTED", "duration", "shown", "stopped_by_signals"]

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""

_REPAINT = 0.25
"""The time between two updates of the progress line, in seconds."""

_YEAR = 86400 * 365.25
_UNITS = ((_YEAR, "years"), (86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))

State = TypeVar("State")


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Yields an event that the first Ctrl-C or SIGTERM sets; the second interrupts at once."""
    stop = threading.Event()

    def handle(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def shown(show: Callable[[str], None], text_of: Callable[[State], str]) -> Callable[[State], None]:
    """Returns a callback that shows the state of a run, as ``text_of`` tells it, a few times in a second."""
    last = 0.0

    def progress(state: State) -> None:
        nonlocal last
        if time.monotonic() - last > _REPAINT:
            last = time.monotonic()
            show(text_of(state))

    return progress


def duration(seconds: float) -> str:
    """Returns a time as text: "2.5 minutes"."""
    for factor, unit in _UNITS:
        if seconds >= 2 * factor:
            return f"{seconds / factor:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"
