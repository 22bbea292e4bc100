"""Fifty clients at once: everybody gets a result or is told to come back, and memory stays bounded."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import httpx2 as httpx
import pytest
from web_samples import picture, running_server

CLIENTS = 50
ROUNDS = 2
SHARED = 20  # clients behind one address; each of the others has its own, which Linux's loopback allows
MAX_GROWTH = 256 << 20  # bytes


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10


async def visit(address: str, number: int, upload: bytes) -> list[tuple[int, float, bytes]]:
    source = "127.0.0.1" if number < SHARED else f"127.0.0.{number}"
    answers = []
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, base_url=address, timeout=60) as client:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            answer = await client.post("/encode?target_size=600&effort=1", content=upload)
            answers.append((answer.status_code, time.perf_counter() - started, answer.content))
    return answers


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and the addresses 127.0.0.*")
def test_fifty_clients_are_answered_at_once() -> None:
    upload = picture(128, 96)
    with running_server("--queue", "8", "--per-client", "4") as (address, process):
        first = httpx.post(f"{address}/encode?target_size=600&effort=1", content=upload, timeout=60)
        before = resident(process)

        async def crowd() -> list[list[tuple[int, float, bytes]]]:
            return await asyncio.gather(*(visit(address, number, upload) for number in range(CLIENTS)))

        answers = [answer for visitor in asyncio.run(crowd()) for answer in visitor]
        growth = resident(process) - before
        afterwards = httpx.post(f"{address}/encode?target_size=600&effort=1", content=upload, timeout=60)

    assert first.content == afterwards.content
    counts = Counter(status for status, _, _ in answers)
    for status in sorted(counts):
        times = sorted(seconds for code, seconds, _ in answers if code == status)
        median, worst = times[len(times) // 2], times[-1]
        print(f"{status}: {len(times):3} answers, median {median:.2f} s, slowest {worst:.2f} s")
    print(f"memory grew by {growth / 1e6:.0f} MB")
    assert counts.keys() == {200, 429, 503}
    assert all(content == first.content for status, _, content in answers if status == 200)
    assert growth < MAX_GROWTH
