"""A simulation of an archive on many machines."""

from __future__ import annotations

import heapq

import numpy as np

from benchmarks.archive.stages import Stages

__all__ = ["simulated"]

_WINDOW = 1000
"""The number of pictures for each encoder in a window, as in calotype.archive.engines.ray_engine."""

_MAX_WINDOW = 500_000
"""Likewise the largest number of pictures in a window."""

_SMALL_BLOCK, _LARGE_BLOCK, _MANY_ENCODERS = 8, 32, 32
"""Likewise the number of pictures in a block, and the number of encoders from which on blocks are large."""


def simulated(stages: Stages, nodes: int, cores: int, *, writers: int = 2, windows: int = 2) -> float:
    """Returns the pictures a second of ``nodes`` machines with an encoder on each of ``cores`` cores.

    Encoders take blocks of pictures, whose times are gamma-distributed. A reader shares the core of its
    encoder. One process coordinates: it takes pictures in the order of the input, and waits while more than
    ``writers`` parts are in writing. At the end of a window all encoders wait for the last of them and start
    anew. Networks and storage are taken to keep pace.
    """
    encoders = nodes * cores
    generator = np.random.default_rng(0)
    shape, scale = (stages.encode / stages.deviation) ** 2, stages.deviation**2 / stages.encode
    block = _SMALL_BLOCK if encoders < _MANY_ENCODERS else _LARGE_BLOCK
    blocks = min(encoders * _WINDOW, _MAX_WINDOW) // block
    now, waiting_rows, in_writing = 0.0, 0, list[float]()
    for _ in range(windows):
        free = [now + stages.start] * encoders
        coordinated = now
        durations = generator.gamma(shape * block, scale, blocks) + block * stages.read
        for duration in durations:
            done = heapq.heappop(free) + float(duration)
            heapq.heappush(free, done)
            coordinated = max(coordinated, done) + block * stages.coordinate + stages.schedule
            waiting_rows += block
            if waiting_rows >= stages.part:
                if len(in_writing) == writers:
                    coordinated = max(coordinated, heapq.heappop(in_writing))
                heapq.heappush(in_writing, coordinated + waiting_rows * stages.write)
                waiting_rows = 0
        now = max(coordinated, *free)
    return windows * blocks * block / max(now, *in_writing, 0.0)
