"""How large a picture is coded: where few bytes are wanted, smaller than it is shown.

From some level on, a coarser step does more harm than fewer latents do: a picture of three quarters of the
width and height, coded finely and enlarged again, then looks better at as many bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.coding import READ_BACK, encode_latents
from calotype.container import FULL_SCALE, Chunk, Header, parse
from calotype.errors import TargetSizeError
from calotype.latents import COARSEST
from calotype.options import EncodeOptions

__all__ = ["SCALES", "Reduced", "encode_reduced", "first_scale"]

SCALES = {256: 77, 224: 80, 192: 83, 160: 86, 128: 90, 96: 93, 64: 96, 48: 98, 32: COARSEST}
"""The scales to choose from, and the coarsest level at which each is still as good as the next one.

Down to 128 they are measured on held-out photographs, at equal bytes: beyond it the next scale is as good or
better in LPIPS and better in PSNR (training/README.md). The others continue the line.
"""

_SMALLEST_SIDE = 32  # pixels, of the coded picture
_LEVELS_APART = 10.0  # by which the level falls from one scale to the next, at equal bytes
_SLOPE = -0.024  # of the logarithm of the bytes in the level


@dataclass(frozen=True, eq=False)
class Reduced:
    """A file, its header, and the latents float32[4, h, w] that it codes."""

    data: bytes
    header: Header
    latents: NDArray[np.float32]


def first_scale(options: EncodeOptions) -> int:
    """The scale that the options ask for, or the full one to begin with."""
    return FULL_SCALE if options.scale is None else max(1, round(options.scale * FULL_SCALE))


def encode_reduced(
    latents_at: Callable[[Header], NDArray[np.float32]],
    header: Header,
    options: EncodeOptions,
    chunks: tuple[Chunk, ...] = (),
) -> Reduced:
    """The file at the header's scale or, if the options leave it open and it looks better, at a smaller one.

    ``latents_at`` encodes the picture at the scale of the header that it is given. Below the quality at which
    pictures are reduced a file takes the bytes that it would have taken at full size.
    Raises :class:`TargetSizeError`.
    """
    left = _choices(header, options)
    found: Reduced | None = None
    while True:
        header = replace(header, scale=left[0])
        try:
            latents = latents_at(header)
            data = encode_latents(latents, header, options, chunks)
            header = parse(data, limits=READ_BACK).header
            found, level = Reduced(data, header, latents), float(header.level)
        except TargetSizeError as error:
            if len(left) == 1 and found is None:
                raise
            level = COARSEST + math.log(error.target / error.smallest) / _SLOPE
        if len(left) == 1 or level <= SCALES[left[0]]:
            assert found is not None
            return found
        if options.target_size is None and options.bpp is None:
            options = replace(options, quality=None, target_size=len(data))
        steps = max(1, int((level - SCALES[left[0]]) / _LEVELS_APART))
        left = left[min(steps, len(left) - 1) :]


def _choices(header: Header, options: EncodeOptions) -> list[int]:
    """The header's scale and, if the codec may choose, all smaller ones that leave enough of the picture."""
    if options.scale is not None or options.recipe == "palette":
        return [header.scale]
    smaller = [replace(header, scale=scale) for scale in SCALES if scale < header.scale]
    return [header.scale] + [one.scale for one in smaller if min(one.coded_size) >= _SMALLEST_SIDE]
