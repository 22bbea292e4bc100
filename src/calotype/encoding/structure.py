"""The structural similarity of the luma of two pictures.

The measure is that of Wang et al., "Image quality assessment: from error visibility to structural similarity"
(2004), without its comparison of means: a constant difference of colours is not a difference in structure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_mean", "structural_similarity"]

_RADIUS = 3
"""The windows have 7x7 pixels: about the width of a stroke of small letters."""

_FLOOR = (0.03 * 255) ** 2
"""The constant C2 of the measure. Because of it, noise of a few levels of 255 hardly counts."""


def structural_similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the similarity float32[H, W], -1 to 1, at each pixel of two planes float32[H, W], 0 to 255."""
    means = [box_mean(plane, _RADIUS) for plane in (first, second)]
    squares = [box_mean(np.square(plane), _RADIUS) for plane in (first, second)]
    variances = [square - np.square(mean) for square, mean in zip(squares, means, strict=True)]
    covariance = box_mean(first * second, _RADIUS) - means[0] * means[1]
    similarity: NDArray[np.float32] = (2 * covariance + _FLOOR) / (variances[0] + variances[1] + _FLOOR)
    return similarity


def box_mean(plane: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Returns the mean of float32[H, W, ...] over squares around each pixel, edges repeated."""
    values: NDArray[Any] = plane.astype(np.float64)
    side = 2 * radius + 1
    for axis in (0, 1):
        padding = [(0, 0)] * values.ndim
        padding[axis] = (radius + 1, radius)
        sums = np.moveaxis(np.pad(values, padding, mode="edge"), axis, 0).cumsum(0)
        values = np.moveaxis(sums[side:] - sums[:-side], 0, axis) / side
    means: NDArray[np.float32] = values.astype(np.float32)
    return means
