"""Faces get finer latents where the rest of a picture has coarse ones.

::

    candidate ─ latents ─ face finder ─ probability of a face ─ regions ─ candidate, no larger

A coarse step that grass and stone forgive distorts eyes and mouths, for which nobody forgives it. Faces are
small, mostly, and the bytes that they take are hardly missed elsewhere. A face of few latents is not helped
by finer steps alone: then the picture is coded somewhat larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, Header, Region, pack_regions
from calotype.encoding.candidate import Candidate, code
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import Source
from calotype.encoding.resolution import larger_scale
from calotype.errors import LimitError, TargetSizeError
from calotype.models import Encoder, FaceFinder
from calotype.models.tiling import find_tiled

__all__ = ["is_coarse", "regions_of", "with_finer_faces"]

_COARSE_LEVEL = 64
"""A level beyond which faces suffer."""

_FACE_LEVEL, _MAX_LEVELS = 48, 28
"""The level that faces are to get, and by how many levels they may be finer than the rest."""

_MAX_SHARE = 0.1
"""Of the payload, that faces may take from the rest; where they are large they are not that much finer."""

_BITS_PER_OCTAVE = 2.4
"""That a position takes more, in all channels, for each octave that its step is finer."""

_THRESHOLD, _CERTAIN, _MIN_CERTAIN = 0.5, 0.9, 4
"""A region is of positions whose probability is above the first threshold, and those next to them; for at
least so many of them it has to be above the second."""

_SMALL_SIDE = 12
"""Positions on the longer side of a region, up to which its face is small."""

_MAX_FACES = 16
"""Each takes five bytes and more."""

_MIN_LEVELS = 4
"""A smaller difference is not worth a region."""


def is_coarse(candidate: Candidate) -> bool:
    """Whether faces suffer at the candidate's level."""
    return candidate.header.level > _COARSE_LEVEL


def with_finer_faces(
    candidate: Candidate, source: Source, plan: Plan, encoder: Encoder, finder: FaceFinder
) -> Candidate:
    """The candidate with a REGIONS chunk for its faces, at the same rate.

    It is what it was if there are no faces, if none can be helped at its size, or if the limits leave no
    room for the chunk.
    """
    bits = 8 * candidate.size
    for header, latents, probability in _larger_first(candidate, source, encoder, finder):
        regions = regions_of(probability, header.level, bits)
        if not regions:
            continue
        header, near = replace(header, regions=True, regions_first=True), header.level
        try:
            chunks = source.with_chunk(Chunk(ChunkType.REGIONS, pack_regions(regions)))
            return code(latents, header, chunks, candidate.rate, plan.rdo, near)
        except (TargetSizeError, LimitError):
            continue
    return candidate


def _larger_first(
    candidate: Candidate, source: Source, encoder: Encoder, finder: FaceFinder
) -> Iterator[tuple[Header, NDArray[np.float32], NDArray[np.float32]]]:
    """Header, latents and probabilities of the candidate; before, if faces are small, at a larger scale."""
    probability = find_tiled(finder, candidate.latents)
    boxes = _boxes(probability)
    larger = larger_scale(candidate, source)
    if larger and boxes and all(max(box[2:]) <= _SMALL_SIDE for box in boxes):
        scale, level = larger
        header = replace(candidate.header, scale=scale, level=level)
        latents = source.latents(header, encoder)
        yield header, latents, find_tiled(finder, latents)
    yield candidate.header, candidate.latents, probability


def regions_of(probability: NDArray[np.float32], level: int, bits: int) -> tuple[Region, ...]:
    """Boxes around the faces of a file at ``level`` that takes ``bits``, the largest first.

    ``probability`` float32[h, w], 0 to 1, is that of each position to be within a face.
    """
    boxes = sorted(_boxes(probability), key=lambda box: -box[2] * box[3])[:_MAX_FACES]
    area = sum(width * height for _, _, width, height in boxes)
    if not area:
        return ()
    affordable = 16 * _MAX_SHARE * bits / (_BITS_PER_OCTAVE * area)
    levels = int(min(_MAX_LEVELS, level - _FACE_LEVEL, affordable))
    return tuple(Region(*box, levels) for box in boxes) if levels >= _MIN_LEVELS else ()


def _boxes(probability: NDArray[np.float32]) -> list[tuple[int, int, int, int]]:
    """(left, top, width, height) of each connected part above the threshold, and of those next to it."""
    left_over = probability > _THRESHOLD
    boxes = []
    for start in zip(*np.nonzero(probability > _CERTAIN), strict=True):
        if not left_over[start]:
            continue
        part, left_over[start] = [start], False
        for y, x in part:  # which grows
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < probability.shape[0] and 0 <= near[1] < probability.shape[1]
                if inside and left_over[near]:
                    left_over[near] = False
                    part.append(near)
        if np.count_nonzero(probability[tuple(np.transpose(part))] > _CERTAIN) < _MIN_CERTAIN:
            continue
        top, left = np.maximum(np.min(part, 0) - 1, 0).tolist()
        bottom, right = np.minimum(np.max(part, 0) + 2, probability.shape).tolist()
        boxes.append((left, top, right - left, bottom - top))
    return boxes
