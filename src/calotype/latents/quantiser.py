"""The uniform quantiser: 128 levels, of which sixteen double the step, and a level offset for each channel.

Level l has the step 2**(l / 16 - 5), from 0.031 to 7.7 scaled-latent units; channel c of the `sd1` space
is quantised at the effective level l + (1, -1, 3, -3)[c], because the channels differ in what a coarser
step saves and costs. Steps are integers in units of 2**-22, so that reconstruction is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import MissingIntegers
from calotype.entropy.tables import STEP_UNIT_BITS

__all__ = [
    "CHANNEL_OFFSETS",
    "STEPS",
    "channel_steps",
    "dequantise",
    "level_map",
    "log_step_map",
    "noise_codes",
    "noise_deviations",
]

CHANNEL_OFFSETS = (1, -1, 3, -3)

_LOG_STEP_OF_DEVIATION = 0.5 * math.log2(12)
"""log2 of the step whose rounding error, uniformly distributed, has a standard deviation of 1."""

_SMOOTH_BELOW, _SMOOTH_FULLY = 0.25, 0.125
"""While less than a quarter of the integers have arrived the step map is smoothed, below an eighth fully.

With fewer, the integers that have arrived lie on a coarse grid. A step map that shows the grid makes decoders
show it as well.
"""

# round(2**(i / 16) * 2**16): written out, because the format must not depend on a library's exp2.
_FIRST_STEPS = [65536, 68438, 71468, 74632, 77936, 81386, 84990, 88752]
_FIRST_STEPS += [92682, 96785, 101070, 105545, 110218, 115098, 120194, 125515]

STEPS: NDArray[np.int64] = np.array([_FIRST_STEPS[i % 16] << (i // 16) for i in range(160)], np.int64)
"""int64[160]: the step of effective level i - 16, in 2**-22 scaled-latent units."""


def level_map(level: int, refinement: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Returns the levels int64[h, w] of all positions: ``level`` less ``refinement`` int[h, w], at least 0.

    The refinement is the number of levels by which a position is quantised more finely than the picture.
    """
    levels: NDArray[np.int64] = np.subtract(level, refinement, dtype=np.int64)
    np.maximum(levels, 0, out=levels)
    return levels


def channel_steps(levels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the steps float64[4, h, w] of levels int64[h, w], in scaled-latent units."""
    steps = np.stack([STEPS[levels + offset + 16] for offset in CHANNEL_OFFSETS])
    return steps.astype(np.float64) * 2.0**-STEP_UNIT_BITS


def dequantise(integers: NDArray[np.int16], levels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Dequantises integers int16[4, h, w] of levels int64[h, w] to scaled latents float32[4, h, w]."""
    return (integers * channel_steps(levels)).astype(np.float32)  # exact in float64, rounded once


def log_step_map(levels: NDArray[np.int64], missing: MissingIntegers | None = None) -> NDArray[np.float32]:
    """Returns log2 of the nominal step of levels int64[h, w], as float32[1, h, w] for a decoder network.

    A ``missing`` integer counts with the step whose rounding error has the predicted standard deviation, if
    that step is larger. The result is then the mean over the four channels, smoothed while few integers have
    arrived (docs/format.md, section 12).
    """
    log_step = levels[None] / 16 - 5
    if missing is not None:
        predicted = missing.scale / 16 - 6.5 + _LOG_STEP_OF_DEVIATION
        by_channel = np.where(missing.mask, np.maximum(log_step, predicted), log_step)
        log_step = by_channel.mean(0, keepdims=True)
        arrived = 1 - float(missing.mask.mean())
        smoothing = min(max((_SMOOTH_BELOW - arrived) / (_SMOOTH_BELOW - _SMOOTH_FULLY), 0.0), 1.0)
        if smoothing:
            log_step = log_step + smoothing * (_binomial_mean(log_step) - log_step)
    return log_step.astype(np.float32)


def _binomial_mean(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean of 3x3 positions of float64[n, h, w], weighted 1-2-1 along both axes.

    It removes what alternates from one position to the next.
    """
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    mean: NDArray[np.float64] = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
    return mean


def noise_codes(
    latents: NDArray[np.float32], decoded: NDArray[np.float32], levels: NDArray[np.int64]
) -> tuple[int, int, int, int]:
    """Returns the noise codes of the four channels, 0 to 15, for denoising decoders.

    ``latents`` and ``decoded``, the latents that a decoder reads from the file, are float32[4, h, w];
    ``levels`` is int64[h, w]. Code n means a mean squared error of 2**((n - 11) / 3) times step**2 / 12.
    """
    steps = channel_steps(levels)
    error = ((latents - decoded) ** 2).mean((1, 2))
    ratio = error / ((steps**2).mean((1, 2)) / 12)
    codes = np.clip(np.round(3 * np.log2(np.maximum(ratio, 1e-9))) + 11, 0, 15).astype(int)
    a, b, c, d = codes.tolist()
    return a, b, c, d


def noise_deviations(
    codes: tuple[int, int, int, int], levels: NDArray[np.int64], missing: MissingIntegers | None = None
) -> NDArray[np.float64]:
    """Returns the standard deviation of each channel's quantisation noise, float64[4], from the noise codes.

    ``levels`` is int64[h, w]. The deviations are those over the whole picture. A latent whose integer is
    ``missing`` counts with its predicted deviation.
    """
    variance_by_squared_step = 2.0 ** ((np.array(codes) - 11) / 3) / 12
    squared_steps = channel_steps(levels) ** 2
    if missing is not None:
        predicted = 2.0 ** (2 * (missing.scale / 16 - 6.5))
        equivalent = predicted / variance_by_squared_step[:, None, None]
        squared_steps = np.where(missing.mask, equivalent, squared_steps)
    deviations: NDArray[np.float64] = np.sqrt(squared_steps.mean((1, 2)) * variance_by_squared_step)
    return deviations
