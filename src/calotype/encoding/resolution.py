"""Chooses the scale at which a picture is coded: below its size for few bytes, above its size for many.

With few bytes a coarse step does more harm than fewer latents: a picture of three quarters of the width and
height, coded with a finer step and enlarged by the decoder, looks better. With many bytes the networks limit
the quality, so that a finer step has no effect, but more latents still improve the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from calotype.container import FULL_SCALE, Coding, Header
from calotype.encoding.prepare import PreparedPicture
from calotype.errors import TargetSizeError
from calotype.latents import COARSEST

__all__ = [
    "SCALES",
    "allowed_scales",
    "best_scale",
    "expected_best_scale",
    "larger_scale",
    "level_of_missed_target",
    "starting_at_best_scale",
]

SCALES = {
    88: 50,
    80: 60,
    72: 63,
    64: 75,
    56: 82,
    48: 90,
    40: 94,
    32: 98,
    24: 101,
    16: 102,
    12: 103,
    8: COARSEST,
}
"""The scales in 64ths, and for each the coarsest level at which it is as good as the next smaller scale.

The levels of the scales 72 to 40 were measured on held-out photographs, at equal bytes: above this level the
next smaller scale has better LPIPS with AlexNet and DISTS (training/README.md). Those of 56 and 48 are where
a regression over ten held-out photographs has equal values of both. The others are extrapolated.
"""

_AVERAGE_LEVELS = {0.3: 12.0, 0.153: 52.0, 0.0763: 77.0, 0.038: 96.0}
"""The mean level at full size by the bits per pixel, of 25 held-out photographs of 512x512."""

_LEVELS_PER_HALVED_SIDE = 50
"""The decrease of the level when the sides are halved, at equal bytes."""

_SLOPE = -0.024
"""The slope of the logarithm of the size as a function of the level."""

_MIN_SIDE = 32
"""The shortest side, in pixels, of a picture that is coded at a smaller scale."""


def allowed_scales(picture: PreparedPicture) -> tuple[int, ...]:
    """Returns the scales that may be tried, the largest first."""
    if picture.scale_is_given:
        return (picture.header.scale,)
    return tuple(scale for scale in SCALES if _scale_is_allowed(picture, scale))


def starting_at_best_scale(picture: PreparedPicture, size: int | None) -> PreparedPicture:
    """Returns the picture with the scale that is best, within ``size`` bytes, for an average photograph.

    The encoder network then mostly runs once. Without a target size (None), and if the scale is given, the
    picture starts at the scale that it has.
    """
    header = picture.header
    if size is None or picture.scale_is_given or header.coding != Coding.HIERARCHICAL:
        return picture
    bits_per_pixel = 8 * size / (header.width * header.height)
    known = sorted(_AVERAGE_LEVELS)
    levels = [_AVERAGE_LEVELS[bits] for bits in known]
    level = float(np.interp(math.log(bits_per_pixel), np.log(known), levels))
    scale = expected_best_scale(allowed_scales(picture), header.scale, level)
    return replace(picture, header=picture.at(scale))


def expected_best_scale(scales: tuple[int, ...], scale: int, level: float, tolerance: float = 0) -> int:
    """Returns the largest of ``scales`` whose expected level is fine enough, given ``level`` at ``scale``.

    ``tolerance`` levels more or less are no reason to leave ``scale``.
    """
    best = _largest_fine_scale(scales, scale, level)
    if tolerance and best != scale:
        bounds = [_largest_fine_scale(scales, scale, level + change) for change in (-tolerance, tolerance)]
        return scale if scale in bounds else best
    return best


def _largest_fine_scale(scales: tuple[int, ...], scale: int, level: float) -> int:
    for other in scales:
        if level + _LEVELS_PER_HALVED_SIDE * math.log2(other / scale) <= SCALES.get(other, COARSEST):
            return other
    return scales[-1]


def level_of_missed_target(error: TargetSizeError) -> float:
    """Returns the level, beyond the coarsest one, at which the target size would have been met."""
    return COARSEST + math.log(error.target / error.smallest) / _SLOPE


def best_scale(levels: Mapping[int, float]) -> int:
    """Returns the best of the scales that were coded, from the level that each of them has."""
    fine = [scale for scale, level in levels.items() if level <= SCALES.get(scale, COARSEST)]
    return max(fine) if fine else min(levels)


def larger_scale(header: Header, picture: PreparedPicture) -> tuple[int, int] | None:
    """Returns the next larger scale than that of ``header``, and the level expected there at equal bytes.

    None means that there is no larger scale.
    """
    larger = [scale for scale in allowed_scales(picture) if scale > header.scale]
    if not larger:
        return None
    level = header.level + _LEVELS_PER_HALVED_SIDE * math.log2(min(larger) / header.scale)
    return min(larger), min(round(level), COARSEST)


def _scale_is_allowed(picture: PreparedPicture, scale: int) -> bool:
    """Returns whether the coded size is within the limits and not below ``_MIN_SIDE``."""
    header = picture.at(scale)
    large_enough = scale >= FULL_SCALE or min(header.coded_size) >= _MIN_SIDE
    return scale == FULL_SCALE or (large_enough and picture.allows(header))
