"""Codes patches: the pixels of rectangles in one atlas, by the codec that takes the fewest bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calotype.container import PatchCodec, Patches, Rectangle, atlas_rows, atlas_size
from calotype.imaging import has_av1, pack_av1, pack_vp8
from calotype.imaging import luma as luma_of

__all__ = ["atlas_pixels", "code_patches"]


def code_patches(
    rgb: NDArray[np.uint8],
    rectangles: Sequence[Rectangle],
    quality: int,
    *,
    luma: bool,
    feather: int,
    codec: PatchCodec | None = None,
    thorough: bool = False,
) -> Patches:
    """Codes the pixels of ``rectangles`` in the picture ``rgb`` uint8[H, W, 3] at a quality of 0 to 100.

    Without a ``codec`` it is AV1 where this Pillow has it, otherwise VP8. AV1 takes 45 to 70 % of the bytes
    (benchmarks/results/patch-codecs.md). ``thorough`` takes more time for fewer bytes.
    """
    atlas = atlas_pixels(rgb, rectangles)
    if codec == PatchCodec.AV1 or (codec is None and has_av1()):
        data = pack_av1(atlas, quality, monochrome=luma, thorough=thorough)
        if data is not None:
            return Patches(PatchCodec.AV1, luma, feather, tuple(rectangles), data)
    data = pack_vp8(_grey(atlas) if luma else atlas, quality)
    return Patches(PatchCodec.VP8, luma, feather, tuple(rectangles), data)


def atlas_pixels(rgb: NDArray[np.uint8], rectangles: Sequence[Rectangle]) -> NDArray[np.uint8]:
    """Returns the atlas uint8[h, w, 3] of ``rectangles`` in a picture uint8[H, W, 3].

    Beside a rectangle its last column is repeated, and below it its last row, which takes few bytes.
    """
    width, height = atlas_size(rectangles)
    rows = atlas_rows(rectangles)
    parts = []
    for (left, top, across, down), row, following in zip(rectangles, rows, [*rows[1:], height], strict=True):
        pixels = rgb[top : top + down, left : left + across]
        beyond = (0, following - row - down), (0, width - across), (0, 0)
        parts.append(np.pad(pixels, beyond, mode="edge"))
    return np.concatenate(parts)


def _grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return luma_of(rgb).astype(np.uint8)[..., None].repeat(3, -1)
