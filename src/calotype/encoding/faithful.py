"""Bounds the invention of a file: what to code if its picture invents more than is allowed.

::

    file ─ invents too much? ─ finer latents ─ patches over the worst parts ─ a patch over everything

A patch is a blurred original: it loses structure, but shows none that the original lacks. Within a target
size, patches get the bytes that latents for a part of it leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.connected import connected_parts
from calotype.container import (
    MAX_ATLAS_SIDE,
    MAX_PATCHES,
    Chunk,
    ChunkType,
    Patches,
    Rectangle,
    atlas_size,
    pack_patches,
    parse_file,
    serialise_file,
    unpack_patches,
)
from calotype.encoding.patch_choice import FEATHER
from calotype.encoding.patch_coding import code_patches
from calotype.encoding.plan import RateTarget
from calotype.fidelity import Fidelity
from calotype.fidelity.statistics import BLOCK
from calotype.limits import ANY_SIZE
from calotype.options import DEFAULT_QUALITY, EncodeOptions

__all__ = [
    "coarsest_options",
    "finer_options",
    "patches_over",
    "smaller_options",
    "with_patches",
    "worst_rectangles",
]

_QUALITIES = (65.0, 80.0, 100.0)
"""The qualities that are tried after that of the options."""

_LATENT_FRACTIONS = (0.75, 0.5)
"""The fractions of a target size that are tried for the latents, so that patches get the rest."""

_PATCH_QUALITIES = (30, 50, 70, 85, 95)
"""The qualities of the patches' codec that are tried."""

_MAX_BLOCK_FRACTION = 0.8
"""Patches replace the blocks whose score exceeds this fraction of the limit. It is below 1, because a score
also depends on the surroundings of its block."""


def finer_options(options: EncodeOptions) -> Iterator[EncodeOptions]:
    """Yields the options, and then those with higher qualities if there is no target size."""
    yield options
    if options.target_size is None and options.bpp is None:
        start = DEFAULT_QUALITY if options.quality is None else options.quality
        for quality in _QUALITIES:
            if quality > start:
                yield replace(options, quality=quality)


def smaller_options(options: EncodeOptions, size: int | None) -> Iterator[EncodeOptions]:
    """Yields the options with smaller targets than ``size``, the bytes of the whole file; None yields
    nothing."""
    for fraction in _LATENT_FRACTIONS if size is not None else ():
        yield replace(options, bpp=None, target_size=max(1, int(fraction * (size or 0))))


def coarsest_options(options: EncodeOptions) -> EncodeOptions:
    """Returns the options of the smallest file that lies under a patch over everything."""
    return replace(
        options, quality=0, target_size=None, bpp=None, effort=1, protect="none", roi=(), scale=None
    )


def worst_rectangles(fidelity: Fidelity, limit: float, file: bytes) -> list[Rectangle]:
    """Returns rectangles, in pixels, around the blocks that invent nearly as much as ``limit`` or more.

    The rectangles of the patches that ``file`` has are added to them. The list is empty if they are most of
    the picture.
    """
    worst = fidelity.invented > _MAX_BLOCK_FRACTION * limit
    rectangles = []
    for rows, columns in connected_parts(worst):
        left, top = BLOCK * int(columns.min()), BLOCK * int(rows.min())
        right = min(BLOCK * (int(columns.max()) + 1), fidelity.width)
        bottom = min(BLOCK * (int(rows.max()) + 1), fidelity.height)
        rectangles.append((left, top, right - left, bottom - top))
    if not rectangles:
        return []
    packed = parse_file(file, limits=ANY_SIZE).chunk(ChunkType.PATCHES)
    if packed is not None:
        rectangles += unpack_patches(packed, fidelity.width, fidelity.height).rectangles
    area = sum(width * height for _, _, width, height in rectangles)
    is_part = len(rectangles) <= MAX_PATCHES and 2 * area < fidelity.width * fidelity.height
    return rectangles if is_part and _fits(rectangles, fidelity.width * fidelity.height) else []


def patches_over(rgb: NDArray[np.uint8], rectangles: list[Rectangle]) -> Iterator[Patches]:
    """Yields patches over parts of uint8[H, W, 3], of rising quality; without rectangles over all of it."""
    height, width = rgb.shape[:2]
    chosen = rectangles or [(0, 0, width, height)]
    if _fits(chosen, width * height):
        for quality in _PATCH_QUALITIES:
            yield code_patches(rgb, chosen, quality, luma=False, feather=FEATHER if rectangles else 0)


def with_patches(file: bytes, patches: Patches, options: EncodeOptions) -> bytes | None:
    """Returns the ``file`` with these patches instead of its own; None if the options' size does not allow
    them."""
    parsed = parse_file(file, limits=ANY_SIZE)
    chunks = [chunk for chunk in parsed.chunks if chunk.type != ChunkType.PATCHES]
    patched = serialise_file(
        parsed.header,
        parsed.payload,
        parsed.checksum,
        [Chunk(ChunkType.PATCHES, pack_patches(patches)), *chunks],
    )
    largest = RateTarget.of(options, parsed.header.width, parsed.header.height).size
    return patched if largest is None or len(patched) <= largest else None


def _fits(rectangles: list[Rectangle], area: int) -> bool:
    width, height = atlas_size(rectangles)
    return max(width, height) <= MAX_ATLAS_SIDE and width * height <= area
