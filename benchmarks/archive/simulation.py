"""A simulation of an archive on many machines."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from benchmarks.archive.stages import Stages
from calotype.archive.engines.ray_engine import MAX_WINDOW, WINDOW, block_of

__all__ = ["simulated"]

Durations = NDArray[np.float64]


def simulated(stages: Stages, nodes: int, cores: int, *, writers: int = 2, windows: int = 2) -> float:
    """Returns the pictures a second of ``nodes`` machines with an encoder on each of ``cores`` cores.

    Encoders take blocks of pictures, whose times are gamma-distributed. A reader shares the core of its
    encoder. One process coordinates: it takes pictures in the order of the input, and waits while more than
    ``writers`` parts are in writing. At the end of a window all encoders wait for the last of them, until
    the next window is handed over, and start anew. Networks and storage are taken to keep pace.
    """
    encoders = nodes * cores
    generator, block = np.random.default_rng(0), block_of(encoders)
    blocks = min(encoders * WINDOW, MAX_WINDOW) // block
    now, waiting_rows, in_writing = 0.0, 0, list[float]()
    for _ in range(windows):
        free = [now + blocks * stages.submit + stages.start] * encoders
        coordinated = now
        durations = _block_seconds(stages, block, blocks, generator) + block * stages.read
        for duration in durations:
            done = heapq.heappop(free) + float(duration)
            heapq.heappush(free, done)
            coordinated = max(coordinated, done) + block * stages.coordinate + stages.schedule
            waiting_rows += block
            if waiting_rows >= stages.part:
                if len(in_writing) == writers:
                    coordinated = max(coordinated, heapq.heappop(in_writing))
                heapq.heappush(in_writing, coordinated + waiting_rows * (stages.write + stages.store))
                waiting_rows = 0
        now = max(coordinated, *free)
    return windows * blocks * block / max(now, *in_writing, 0.0)


def _block_seconds(stages: Stages, block: int, blocks: int, generator: np.random.Generator) -> Durations:
    """Returns the seconds float64[blocks] that encoding a block takes."""
    if not stages.deviation:
        return np.full(blocks, block * stages.encode)
    shape, scale = (stages.encode / stages.deviation) ** 2, stages.deviation**2 / stages.encode
    return generator.gamma(shape * block, scale, blocks)
