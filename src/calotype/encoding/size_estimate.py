"""An estimate of the size of latents at any level, from their local energies, without a coding pass.

The context model predicts each latent from the coded ones around it, and how far it may be off. Here bilinear
interpolation of the coarser grid takes the place of the prediction, and the mean deviation from it in 3x3
positions that of the uncertainty. The bits of a latent are a function of one number: log2 of this deviation
in units of the step. The function is piecewise linear; ``scripts/fit_size_estimate.py`` fits it to
photographs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import BASE_SPACING
from calotype.latents import CHANNEL_OFFSETS, COARSEST, FINEST

__all__ = ["KNOTS", "SizeEstimate", "deviation_histogram", "ratios"]

KNOTS = np.arange(-8.0, 6.1, 1.0)
"""float64[15]: log2 of deviation over step, where :data:`_BITS` gives the bits of a latent."""

_BITS = np.array(
    [0.160, 0.311, 0.395, 0.395, 0.395, 0.395, 0.577, 1.544, 2.019, 3.379, 4.457, 5.065, 5.189, 5.234, 5.277]
)
"""float64[15]: bits of a latent at each of :data:`KNOTS`."""

_PER_DOUBLING = 16  # levels, and bins of the histogram
_FIRST_BIN, _BINS = -18 * _PER_DOUBLING, 24 * _PER_DOUBLING
_MIN_DEVIATION = 2.0**-14

_MAX_SLOPE = -0.008
"""The slope of the logarithm of the size where the estimate hardly changes, in flat pictures."""


class SizeEstimate:
    """Estimated sizes of latents float32[4, h, w]; ``refinement`` int[h, w] are the level offsets."""

    def __init__(
        self, latents: NDArray[np.float32], refinement: NDArray[np.integer[Any]] | None = None
    ) -> None:
        histogram = deviation_histogram(latents, refinement)
        self._sizes = [_size(histogram, level) for level in range(FINEST, COARSEST + 1)]

    def size(self, level: float) -> float:
        """Returns the estimated payload in bytes at a level between ``FINEST`` and ``COARSEST``."""
        return float(math.exp(np.interp(level, np.arange(FINEST, COARSEST + 1), np.log(self._sizes))))

    def level(self, size: float, known: tuple[float, float] | None = None) -> float:
        """Returns the level, not rounded, at which the payload has ``size`` bytes.

        ``known`` is a level and the size that was measured there: the estimate is scaled to agree with it.
        Beyond the coarsest level the last slope is continued, up to twice the step.
        """
        factor = 1.0 if known is None else known[1] / self.size(known[0])
        logs = np.log(np.maximum(self._sizes, 1e-3)) + math.log(factor)
        wanted = math.log(max(size, 1e-3))
        level = float(np.interp(-wanted, -logs, np.arange(FINEST, COARSEST + 1)))
        if wanted < logs[-1]:
            level += min((wanted - float(logs[-1])) / self.slope(COARSEST), _PER_DOUBLING)
        return level

    def slope(self, level: float) -> float:
        """Returns the derivative of the logarithm of the size with respect to the level, at most -0.008."""
        low = min(max(level - 2, FINEST), COARSEST - 4)
        return min(math.log(self.size(low + 4) / self.size(low)) / 4, _MAX_SLOPE)


def deviation_histogram(
    latents: NDArray[np.float32], refinement: NDArray[np.integer[Any]] | None = None
) -> NDArray[np.float64]:
    """Returns how many latents have each deviation, float64[bins], in sixteenths of a doubling.

    Bin 0 is a deviation of 2**-18. The level offsets of channels and positions count as larger deviations.
    """
    histogram = np.zeros(_BINS)
    finer = np.zeros(latents.shape[1:], np.int64) if refinement is None else refinement
    spacing = BASE_SPACING
    base = latents[:, ::spacing, ::spacing]
    _add(histogram, np.abs(base - base.mean((1, 2), keepdims=True)), finer[::spacing, ::spacing], None)
    while spacing > 1:
        spacing //= 2
        grid = latents[:, ::spacing, ::spacing]
        deviation = np.abs(grid - _interpolated(grid[:, ::2, ::2], grid.shape[1:]))
        predicted = np.ones(grid.shape[1:], bool)
        predicted[::2, ::2] = False
        _add(histogram, deviation, finer[::spacing, ::spacing], predicted)
    return histogram


def _size(histogram: NDArray[np.float64], level: int) -> float:
    return float(histogram @ np.interp(ratios(level), KNOTS, _BITS)) / 8


def ratios(level: int) -> NDArray[np.float64]:
    """Returns log2 of deviation over step of each bin at a level, float64[bins]."""
    return (np.arange(_BINS) + _FIRST_BIN - level) / _PER_DOUBLING + 5


def _add(
    histogram: NDArray[np.float64],
    deviation: NDArray[np.float32],
    finer: NDArray[np.integer[Any]],
    predicted: NDArray[np.bool_] | None,
) -> None:
    """Counts the deviations float32[4, h, w], smoothed over 3x3 positions, where latents are ``predicted``.

    None means everywhere.
    """
    padded = np.pad(deviation, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    smooth = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
    if predicted is not None:
        smooth = smooth * np.float32(4 / 3)  # the positions of the coarser grid have no deviation
    offsets = finer[None] - np.array(CHANNEL_OFFSETS)[:, None, None]
    bins = np.round(_PER_DOUBLING * np.log2(np.maximum(smooth, _MIN_DEVIATION))).astype(np.int64) + offsets
    bins = np.clip(bins - _FIRST_BIN, 0, _BINS - 1)
    histogram += np.bincount((bins if predicted is None else bins[:, predicted]).ravel(), minlength=_BINS)


def _interpolated(coarse: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns a grid float32[4, *size] between the positions of ``coarse``, which are its even ones."""
    padded = np.pad(coarse, ((0, 0), (0, 1), (0, 1)), mode="edge")
    between_rows = (padded[:, :-1] + padded[:, 1:]) / 2
    rows = np.stack([padded[:, :-1], between_rows], 2).reshape(len(coarse), -1, padded.shape[2])
    between = (rows[..., :-1] + rows[..., 1:]) / 2
    grid: NDArray[np.float32] = np.stack([rows[..., :-1], between], 3).reshape(len(coarse), rows.shape[1], -1)
    return grid[:, : size[0], : size[1]]
