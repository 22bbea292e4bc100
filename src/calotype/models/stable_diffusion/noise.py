"""Random numbers that are equal on every machine: SplitMix64, and normal deviates by integer arithmetic.

Word i of seed s is SplitMix64's finaliser (Steele, Lea and Flood 2014) of s + (i + 1) 0x9E3779B97F4A7C15
modulo 2**64. Deviate n is the sum of the twelve 16-bit quarters of words 3n, 3n + 1 and 3n + 2, less
393,210, over 65,536: mean 0, variance 1 to ten digits, within 6 of 0, and exact in float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["normal_deviates", "random_words"]


def random_words(seed: int, count: int) -> NDArray[np.uint64]:
    """Returns the first ``count`` words of ``seed`` (0 to 2**64 - 1): uint64[count]."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def normal_deviates(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns deviates 0, 1, 2 ... in C order: float32[shape]."""
    count = int(np.prod(shape))
    shifts = np.array([0, 16, 32, 48], np.uint64)
    quarters = (random_words(seed, 3 * count)[:, None] >> shifts) & np.uint64(0xFFFF)
    sums = quarters.reshape(count, 12).sum(1).astype(np.int64) - 393_210
    deviates: NDArray[np.float32] = (sums / 65_536).astype(np.float32).reshape(shape)
    return deviates
