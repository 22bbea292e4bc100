"""The number of processor cores that this process may use, and how workers divide them."""

from __future__ import annotations

import os

__all__ = ["available_cores", "threads_per_worker"]


def available_cores() -> int:
    """Returns the number of cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_per_worker(workers: int) -> int:
    """Returns the number of threads for each of ``workers`` that run at the same time, at least 1."""
    return max(1, available_cores() // max(1, workers))
