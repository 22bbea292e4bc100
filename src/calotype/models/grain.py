"""Noise for a decoder to make grain of.

Of even latents a convolution makes the same 8x8 pixels again and again: texture that repeats is a weave.
Noise that differs everywhere lets it make texture that does not. It depends on the position in the picture
alone, by integer arithmetic, so that every tile, machine and run shows the same grain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["grain"]

_PER_LATENT = 4
"""Values on a side: they enter where the decoder works at half the picture's size."""

_UNIT = np.float32(np.sqrt((256**2 - 1) / 12))
"""Standard deviation of the integers 0 to 255."""


def grain(origin: tuple[int, int], height: int, width: int) -> NDArray[np.float32]:
    """float32[4, 4h, 4w] for h x w latents, the first at ``origin`` (row, column) of the picture.

    Independent, uniform, of mean 0 and standard deviation 1.
    """
    rows, columns = (
        np.arange(_PER_LATENT * start, _PER_LATENT * (start + size), dtype=np.uint32)
        for start, size in zip(origin, (height, width), strict=True)
    )
    mixed = _mixed(_mixed(rows)[:, None] + columns)
    bytes_ = np.stack([mixed >> np.uint32(shift) & np.uint32(255) for shift in (0, 8, 16, 24)])
    return (bytes_.astype(np.float32) - np.float32(127.5)) / _UNIT


def _mixed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A permutation of the 32-bit integers whose every output bit depends on every input bit.

    ``lowbias32``, by Chris Wellons ("Prospecting for Hash Functions", 2018; public domain).
    """
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16)
