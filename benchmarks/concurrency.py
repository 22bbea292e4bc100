"""Pictures per second of 1 to 8 workers: ``python -m benchmarks.concurrency``.

Two arrangements are measured. Threads share one :class:`calotype.Codec`, with the threads per worker that
``calotype encode -j`` and ``serve`` choose. Processes are independent, like several calls of the command
line; each has the default number of threads. Every arrangement runs in fresh processes, which load their
models before the clock starts. The last column is the ratio to the best rate.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

import calotype
from calotype.cores import available_cores, threads_per_worker

__all__ = ["Rate", "main", "measure", "table"]

WORKERS = (1, 2, 3, 4, 6, 8)
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Rate:
    """The numbers of pictures that ``workers`` encoded and decoded in a second."""

    arrangement: str
    workers: int
    encoded: float
    decoded: float


def picture(side: int) -> Image.Image:
    """Returns smooth noise of ``side`` by ``side`` pixels, which takes as long as a photograph."""
    noise = np.random.default_rng(1).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def _timed(codec: calotype.Codec, side: int, pictures: int, run: Callable[..., Any]) -> tuple[float, float]:
    """Returns the wall-clock seconds that ``run`` takes for ``pictures`` encodes, and for as many decodes."""
    image = picture(side)
    data = codec.encode(image)
    codec.decode(data)
    started = perf_counter()
    run(codec.encode, image, pictures)
    between = perf_counter()
    run(codec.decode, data, pictures)
    return between - started, perf_counter() - between


def _threads(workers: int, side: int, pictures: int, results: Any) -> None:
    with ThreadPoolExecutor(workers) as pool:

        def run(work: Callable[[Any], Any], argument: Any, count: int) -> None:
            list(pool.map(work, [argument] * count * workers))

        results.put(_timed(calotype.Codec(threads_per_worker(workers)), side, pictures, run))


def _process(side: int, pictures: int, barrier: Barrier, results: Any) -> None:
    def run(work: Callable[[Any], Any], argument: Any, count: int) -> None:
        barrier.wait()
        for _ in range(count):
            work(argument)
        barrier.wait()

    results.put(_timed(calotype.Codec(), side, pictures, run))


def measure(arrangement: str, workers: int, side: int, pictures: int) -> Rate:
    """Measures ``pictures`` pictures of ``side`` by ``side`` pixels for each worker.

    ``arrangement`` is "threads" or "processes".
    """
    results = _CONTEXT.Queue()
    if arrangement == "threads":
        running = [_CONTEXT.Process(target=_threads, args=(workers, side, pictures, results))]
    else:
        barrier = _CONTEXT.Barrier(workers)
        running = [
            _CONTEXT.Process(target=_process, args=(side, pictures, barrier, results)) for _ in range(workers)
        ]
    for process in running:
        process.start()
    durations = [results.get() for _ in running]
    for process in running:
        process.join()
    encoding, decoding = (max(seconds) for seconds in zip(*durations, strict=True))
    return Rate(arrangement, workers, pictures * workers / encoding, pictures * workers / decoding)


def table(rates: Sequence[Rate]) -> str:
    """Returns the rates as a Markdown table."""
    best = max(1 / (1 / rate.encoded + 1 / rate.decoded) for rate in rates)
    lines = [
        "| workers | as | encoded / s | decoded / s | of the best |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    for rate in rates:
        share = 1 / (1 / rate.encoded + 1 / rate.decoded) / best
        lines.append(
            f"| {rate.workers} | {rate.arrangement} | {rate.encoded:.2f} | {rate.decoded:.2f} | {share:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--side", type=int, default=512, help="of the square pictures, in pixels")
    parser.add_argument("--each", type=int, default=4, help="pictures for each worker")
    given = parser.parse_args(arguments)
    rates = [
        measure(arrangement, workers, given.side, given.each)
        for arrangement in ("threads", "processes")
        for workers in given.workers
    ]
    print(f"{available_cores()} cores, {given.side}x{given.side} pixels\n\n{table(rates)}")


if __name__ == "__main__":
    main()
