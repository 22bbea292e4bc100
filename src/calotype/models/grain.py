"""The noise input of a decoder, which prevents periodic texture.

From constant latents a convolution makes the same 8x8 pixels repeatedly. A noise input that differs at every
position lets it make texture without a period. The noise depends only on the position in the picture, by
integer arithmetic, so that every tile, machine and run gives the same picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["grain_noise"]

_PER_LATENT = 4
"""The number of noise values per latent along each side: the decoder uses them at half the picture's size."""

_UNIT = np.float32(np.sqrt((256**2 - 1) / 12))
"""The standard deviation of the integers 0 to 255."""


def grain_noise(origin: tuple[int, int], height: int, width: int) -> NDArray[np.float32]:
    """Returns noise float32[4, 4h, 4w] for h x w latents, the first at ``origin`` (row, column) of the
    picture.

    The values are independent and uniform, with mean 0 and standard deviation 1.
    """
    rows, columns = (
        np.arange(_PER_LATENT * start, _PER_LATENT * (start + size), dtype=np.uint32)
        for start, size in zip(origin, (height, width), strict=True)
    )
    mixed = _mixed_bits(_mixed_bits(rows)[:, None] + columns)
    bytes_ = np.stack([mixed >> np.uint32(shift) & np.uint32(255) for shift in (0, 8, 16, 24)])
    return (bytes_.astype(np.float32) - np.float32(127.5)) / _UNIT


def _mixed_bits(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Permutes the 32-bit integers so that every output bit depends on every input bit.

    ``lowbias32``, by Chris Wellons ("Prospecting for Hash Functions", 2018; public domain).
    """
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16)
