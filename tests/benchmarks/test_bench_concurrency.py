"""The benchmark of several workers: each encodes and decodes its share; and the table."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from benchmarks import concurrency
from benchmarks.concurrency import Rate, table


class Counted:
    """A codec that counts its calls."""

    calls: list[str] = []  # noqa: RUF012

    def __init__(self, threads: int | None = None) -> None:
        self.calls.append(f"threads {threads}")

    def encode(self, image: Any) -> bytes:
        self.calls.append("encode")
        return b"file"

    def decode(self, data: bytes) -> None:
        assert data == b"file"
        self.calls.append("decode")


def test_threads_share_one_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency.calotype, "Codec", Counted)
    monkeypatch.setattr(concurrency, "threads_per_worker", lambda workers: 10 * workers)
    Counted.calls.clear()
    results: queue.Queue[tuple[float, float]] = queue.Queue()
    concurrency._threads(3, 32, 2, results)
    assert results.qsize() == 1
    assert Counted.calls == ["threads 30"] + ["encode", "decode"] + ["encode"] * 6 + ["decode"] * 6


def test_the_table_gives_shares_of_the_best() -> None:
    lines = table([Rate("threads", 1, 2.0, 2.0), Rate("processes", 4, 1.0, 1.0)]).splitlines()
    assert lines[2] == "| 1 | threads | 2.00 | 2.00 | 1.00 |"
    assert lines[3] == "| 4 | processes | 1.00 | 1.00 | 0.50 |"
