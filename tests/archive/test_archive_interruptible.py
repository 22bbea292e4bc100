"""Rows that are awaited in a thread, so that a run can be stopped meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from calotype.archive.engines.interruptible import interruptible


def test_items_and_errors_are_passed_on() -> None:
    def items() -> Iterator[int]:
        yield from range(200)
        raise OSError("the cluster is gone")

    assert list(interruptible(range(200), threading.Event())) == list(range(200))
    seen = []
    with pytest.raises(OSError, match="the cluster is gone"):
        for item in interruptible(items(), threading.Event()):
            seen.append(item)
    assert seen == list(range(200))


def test_it_stops_while_the_next_item_is_awaited() -> None:
    stop, closed = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        try:
            yield 1
            stop.set()
            for _ in range(3000):
                time.sleep(0.01)
            yield 2
        finally:
            closed.set()

    started = time.monotonic()
    assert list(interruptible(items(), stop)) in ([], [1])
    assert closed.is_set() and time.monotonic() - started < 10


def test_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    rows = interruptible(items(), threading.Event())
    assert next(rows) == 0
    time.sleep(0.1)
    assert len(taken) <= 70
    rows.close()  # type: ignore[attr-defined]
