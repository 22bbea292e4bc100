"""Faces get finer latents where the rest of a picture has coarse ones.

::

    file ─ latents ─ face finder ─ how likely each position is a face ─ regions ─ file, no larger

A coarse step that grass and stone forgive distorts eyes and mouths, for which nobody forgives it. Faces are
small, mostly, and the bytes that they take are hardly missed elsewhere. A face of few latents is not helped
by finer steps alone: then the picture is coded somewhat larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, Header, Region, pack_regions
from calotype.encoding.resolution import Scaled, next_scale
from calotype.encoding.write import write_latents
from calotype.errors import TargetSizeError
from calotype.models import FaceFinder
from calotype.models.tiling import find_tiled
from calotype.options import EncodeOptions

__all__ = ["is_coarse", "protected", "regions_of"]

_EFFORT = 5
"""From here up encoders decide what bytes are spent on."""

_COARSE = 64
"""A level beyond which faces suffer."""

_FINE, _MOST = 48, 28
"""The level that faces are to get, and by how many levels they may be finer than the rest."""

_SHARE = 0.1
"""Of the payload, that faces may take from the rest; where they are large they are not that much finer."""

_BITS = 2.4
"""That a position takes more, in all channels, for each octave that its step is finer."""

_LIKELY, _SURE, _ENOUGH = 0.5, 0.9, 4
"""A region is of positions that are likely a face, enough of which surely are, and those next to them."""

_SMALL = 12
"""Positions on the longer side of a region, up to which its face is small."""

_FACES = 16
"""At most, for each takes five bytes and more."""

_LEAST = 4  # levels; less is not worth a region


def is_coarse(options: EncodeOptions, header: Header) -> bool:
    """Whether :func:`protected` is for a file with this header."""
    return (
        options.protect == "faces"
        and options.recipe == "lattice"
        and options.effort >= _EFFORT
        and header.level > _COARSE
    )


def protected(
    made: Scaled,
    finder: FaceFinder,
    latents_at: Callable[[Header], NDArray[np.float32]],
    chunks: tuple[Chunk, ...] = (),
) -> tuple[Scaled, tuple[Chunk, ...]]:
    """The file ``made`` with a REGIONS chunk for its faces, and its chunks; what it was if there are none.

    It keeps to the size or quality of its options. ``latents_at`` is as for :func:`encode_scaled`.
    """
    bits = 8 * len(made.file.data)
    for header, latents, found in _larger_first(made, finder, latents_at):
        regions = regions_of(found, header.level, bits)
        if regions:
            more = (*chunks, Chunk(ChunkType.REGIONS, pack_regions(regions)))
            try:
                file = write_latents(latents, replace(header, regions=True), made.options, more)
            except TargetSizeError:
                continue
            return Scaled(file, latents, made.options), more
    return made, chunks


def _larger_first(
    made: Scaled, finder: FaceFinder, latents_at: Callable[[Header], NDArray[np.float32]]
) -> Iterator[tuple[Header, NDArray[np.float32], NDArray[np.float32]]]:
    """Headers, latents and what is found there, to try: of ``made``; before it larger, if faces are small."""
    header = made.file.header
    found = find_tiled(finder, made.latents)
    boxes = _boxes(found)
    larger = next_scale(header, made.options)
    if larger and boxes and all(max(box[2:]) <= _SMALL for box in boxes):
        latents = latents_at(larger)
        yield larger, latents, find_tiled(finder, latents)
    yield header, made.latents, found


def regions_of(found: NDArray[np.float32], level: int, bits: int) -> tuple[Region, ...]:
    """Boxes around the faces of a file at ``level`` that takes ``bits``, the largest first.

    ``found`` float32[h, w] is how likely each position is within a face.
    """
    boxes = sorted(_boxes(found), key=lambda box: -box[2] * box[3])[:_FACES]
    area = sum(width * height for _, _, width, height in boxes)
    if not area:
        return ()
    levels = int(min(_MOST, level - _FINE, 16 * _SHARE * bits / (_BITS * area)))
    return tuple(Region(*box, levels) for box in boxes) if levels >= _LEAST else ()


def _boxes(found: NDArray[np.float32]) -> list[tuple[int, int, int, int]]:
    """(left, top, width, height) of each connected part of likely positions, and those next to it."""
    left_over = found > _LIKELY
    boxes = []
    for start in zip(*np.nonzero(found > _SURE), strict=True):
        if not left_over[start]:
            continue
        part, left_over[start] = [start], False
        for y, x in part:  # which grows
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < found.shape[0] and 0 <= near[1] < found.shape[1]
                if inside and left_over[near]:
                    left_over[near] = False
                    part.append(near)
        if np.count_nonzero(found[tuple(np.transpose(part))] > _SURE) < _ENOUGH:
            continue
        top, left = np.maximum(np.min(part, 0) - 1, 0).tolist()
        bottom, right = np.minimum(np.max(part, 0) + 2, found.shape).tolist()
        boxes.append((left, top, right - left, bottom - top))
    return boxes
