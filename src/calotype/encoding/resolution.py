"""At which size a picture is coded: smaller than it is shown for few bytes, larger for many.

With few bytes a coarse step does more harm than fewer latents do: a picture of three quarters of the width
and height, coded finely and enlarged again, looks better. With many a finer step changes nothing, for what is
lost then is lost in the networks; more latents still help.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import FULL_SCALE, Chunk, Header
from calotype.encoding.write import EncodedFile, write_latents
from calotype.errors import LimitError, TargetSizeError
from calotype.latents import COARSEST
from calotype.options import EncodeOptions

__all__ = ["SCALES", "Scaled", "encode_scaled", "first_scale", "next_scale"]

SCALES = {
    88: 50,
    80: 60,
    72: 62,
    64: 77,
    56: 80,
    48: 83,
    40: 86,
    32: 90,
    24: 93,
    16: 96,
    12: 98,
    8: COARSEST,
}
"""The scales to choose from, and the coarsest level at which each is as good as the next smaller one.

Down to 32 they are measured on held-out photographs, at equal bytes: beyond it the next scale is as good or
better in LPIPS, or nearly so and clearly better in PSNR (training/README.md). The others continue the line.
"""

_LEVELS_PER_OCTAVE = 50  # by which the level falls when the sides are halved, at equal bytes
_SLOPE = -0.024  # of the logarithm of the bytes in the level
_SMALLEST_SIDE = 32  # pixels, of the coded picture


@dataclass(frozen=True, eq=False)
class Scaled:
    """A file, the latents float32[4, h, w] that it codes, and the options with which it does."""

    file: EncodedFile
    latents: NDArray[np.float32]
    options: EncodeOptions


def first_scale(options: EncodeOptions) -> int:
    """The scale that the options ask for, or the full one to begin with."""
    return FULL_SCALE if options.scale is None else round(options.scale * FULL_SCALE)


def encode_scaled(
    latents_at: Callable[[Header], NDArray[np.float32]],
    header: Header,
    options: EncodeOptions,
    chunks: tuple[Chunk, ...] = (),
) -> Scaled:
    """The file at the header's scale or, if the options leave it open, at the one that looks best.

    ``latents_at`` encodes the picture at the scale of the header that it is given. With a quality instead of
    a size the file takes, at any scale, the bytes that it takes at the header's.
    Raises :class:`TargetSizeError`.
    """
    choices = _choices(header, options)
    scale, made, levels = header.scale, dict[int, Scaled](), dict[int, float]()
    failure: TargetSizeError | None = None
    while scale not in levels:
        at = replace(header, scale=scale)
        try:
            latents = latents_at(at)
            made[scale] = Scaled(write_latents(latents, at, options, chunks), latents, options)
            levels[scale] = made[scale].file.header.level
            if options.target_size is None and options.bpp is None and len(choices) > 1:
                options = replace(options, quality=None, target_size=len(made[scale].file.data))
        except TargetSizeError as error:
            failure = error
            levels[scale] = COARSEST + math.log(error.target / error.smallest) / _SLOPE
        scale = _wish(choices, scale, levels[scale])
    fine = [scale for scale in made if levels[scale] <= SCALES.get(scale, COARSEST)]
    if not made:
        assert failure is not None
        raise failure
    return made[max(fine) if fine else min(made)]


def next_scale(header: Header, options: EncodeOptions) -> Header | None:
    """The header with the next larger scale, at the level expected at equal bytes; None if there is none."""
    larger = [scale for scale in _choices(header, options) if scale > header.scale]
    if not larger:
        return None
    level = header.level + _LEVELS_PER_OCTAVE * math.log2(min(larger) / header.scale)
    return replace(header, scale=min(larger), level=min(round(level), COARSEST))


def _wish(choices: list[int], scale: int, level: float) -> int:
    """The largest of the choices that should be fine enough, if ``scale`` comes out at ``level``."""
    for choice in choices:
        if level + _LEVELS_PER_OCTAVE * math.log2(choice / scale) <= SCALES.get(choice, COARSEST):
            return choice
    return choices[-1]


def _choices(header: Header, options: EncodeOptions) -> list[int]:
    """The scales that the codec may try, the largest first."""
    if options.scale is not None or options.recipe == "palette":
        return [header.scale]
    return [scale for scale in SCALES if _fits(replace(header, scale=scale), options)]


def _fits(header: Header, options: EncodeOptions) -> bool:
    """Whether the coded picture is neither beyond the limits nor too small to be worth it."""
    if header.scale == FULL_SCALE:
        return True
    try:
        options.limits.check_size(*header.coded_size)
    except LimitError:
        return False
    return header.scale > FULL_SCALE or min(header.coded_size) >= _SMALLEST_SIDE
