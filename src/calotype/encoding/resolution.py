"""Chooses the scale at which a picture is coded: below its size for few bytes, above its size for many.

With few bytes a coarse step does more harm than fewer latents: a picture of three quarters of the width and
height, coded with a finer step and enlarged by the decoder, looks better. With many bytes the networks limit
the quality, so that a finer step has no effect, but more latents still improve the picture.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calotype.container import FULL_SCALE
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.plan import Plan, RateTarget
from calotype.encoding.prepare import PreparedPicture
from calotype.errors import TargetSizeError
from calotype.latents import COARSEST
from calotype.models import Encoder

__all__ = ["SCALES", "code_at_best_scale", "larger_scale"]

SCALES = {
    88: 50,
    80: 60,
    72: 63,
    64: 75,
    56: 82,
    48: 86,
    40: 94,
    32: 98,
    24: 101,
    16: 102,
    12: 103,
    8: COARSEST,
}
"""The scales in 64ths, and for each the coarsest level at which it is as good as the next smaller scale.

The levels of the scales 72 to 40 were measured on held-out photographs, at equal bytes: above this level the
next smaller scale has better LPIPS with AlexNet and DISTS (training/README.md). The others are extrapolated.
"""

_LEVELS_PER_OCTAVE = 50
"""The decrease of the level when the sides are halved, at equal bytes."""

_SLOPE = -0.024
"""The slope of the logarithm of the size as a function of the level."""

_MIN_SIDE = 32
"""The shortest side, in pixels, of a picture that is coded at a smaller scale."""


def code_at_best_scale(
    latents: NDArray[np.float32], source: PreparedPicture, plan: Plan, encoder: Encoder
) -> Candidate:
    """Codes the picture at the source's scale or, if the options leave the scale open, at the best scale.

    ``latents`` float32[4, h, w] are those at the source's scale. With a quality instead of a target size, the
    file takes at any scale the bytes that it takes at the source's scale. Raises :class:`TargetSizeError`.
    """
    scales, scale, rate = _allowed_scales(source), source.header.scale, plan.rate
    candidates, levels = dict[int, Candidate](), dict[int, float]()
    failure: TargetSizeError | None = None
    while scale not in levels:
        header = source.at(scale)
        if levels:
            latents = source.latents(header, encoder)
        try:
            candidates[scale] = code_latents(latents, header, source.chunks, rate, plan.rdo)
            levels[scale] = candidates[scale].header.level
            if rate.size is None and len(scales) > 1:
                rate = RateTarget(size=candidates[scale].size)
        except TargetSizeError as error:
            failure = error
            levels[scale] = COARSEST + math.log(error.target / error.smallest) / _SLOPE
        scale = _expected_best_scale(scales, scale, levels[scale])
    if not candidates and failure is not None:
        raise failure
    fine = [scale for scale in candidates if levels[scale] <= SCALES.get(scale, COARSEST)]
    return candidates[max(fine) if fine else min(candidates)]


def larger_scale(candidate: Candidate, source: PreparedPicture) -> tuple[int, int] | None:
    """Returns the next larger scale and the level expected there at equal bytes; None if there is none."""
    header = candidate.header
    larger = [scale for scale in _allowed_scales(source) if scale > header.scale]
    if not larger:
        return None
    level = header.level + _LEVELS_PER_OCTAVE * math.log2(min(larger) / header.scale)
    return min(larger), min(round(level), COARSEST)


def _expected_best_scale(scales: list[int], scale: int, level: float) -> int:
    """Returns the largest of ``scales`` whose expected level is fine enough, given ``level`` at ``scale``."""
    for other in scales:
        if level + _LEVELS_PER_OCTAVE * math.log2(other / scale) <= SCALES.get(other, COARSEST):
            return other
    return scales[-1]


def _allowed_scales(source: PreparedPicture) -> list[int]:
    """Returns the scales that may be tried, the largest first."""
    if source.options.scale is not None:
        return [source.header.scale]
    return [scale for scale in SCALES if _scale_is_allowed(source, scale)]


def _scale_is_allowed(source: PreparedPicture, scale: int) -> bool:
    """Returns whether the coded size is within the limits and not below ``_MIN_SIDE``."""
    header = source.at(scale)
    large_enough = scale >= FULL_SCALE or min(header.coded_size) >= _MIN_SIDE
    return scale == FULL_SCALE or (large_enough and source.allows(header))
