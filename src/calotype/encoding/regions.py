"""Finer steps than the rest for the latents of faces, at coarse levels, and for regions of interest.

::

    candidate ─ latents ─ face finder ─ probability of a face ─ regions ─ candidate, no larger

Coarse steps are more visible in eyes and mouths than in grass or stone. Most faces are small, so that finer
latents for them take few bytes from the rest. For a face of few latents finer steps are not enough, and the
picture is coded at a larger scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, Header, Region, pack_regions
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.interest import interest_regions
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import PreparedPicture
from calotype.encoding.resolution import larger_scale
from calotype.errors import LimitError, TargetSizeError
from calotype.models import Encoder, FaceFinder
from calotype.models.tiling import find_faces_tiled

__all__ = ["distorts_faces", "face_regions", "with_finer_regions"]

_COARSE_LEVEL = 64
"""The level above which faces are visibly distorted."""

_FACE_LEVEL, _MAX_LEVELS = 48, 28
"""The level of faces, and their largest refinement against the rest of the picture."""

_MAX_SHARE = 0.1
"""The largest share of the payload that finer latents for faces may take from the rest of the picture."""

_BITS_PER_OCTAVE = 2.4
"""Additional bits of a position, over all channels, for each octave by which its step is finer."""

_THRESHOLD, _CERTAIN, _MIN_CERTAIN = 0.5, 0.9, 4
"""A region consists of connected positions whose probability exceeds the first threshold, and of their
neighbours. At least ``_MIN_CERTAIN`` of its positions must exceed the second threshold."""

_SMALL_SIDE = 12
"""The longest side, in positions, of the region of a small face."""

_MAX_FACES = 16
"""The largest number of regions. Each takes at least five bytes."""

_MIN_LEVELS = 4
"""The smallest refinement for which a REGIONS chunk is written."""


def distorts_faces(candidate: Candidate) -> bool:
    """Returns whether faces are visibly distorted at the candidate's level."""
    return candidate.header.level > _COARSE_LEVEL


def with_finer_regions(
    candidate: Candidate, source: PreparedPicture, plan: Plan, encoder: Encoder, finder: FaceFinder | None
) -> Candidate:
    """Returns the candidate with a REGIONS chunk for its faces and the source's regions of interest, at the
    same rate.

    Without a ``finder`` faces are not looked for. It returns ``candidate`` itself if there are no regions, if
    the size allows no finer latents, or if the limits do not allow the chunk.
    """
    bits = 8 * candidate.size
    for header, latents, probability in _region_trials(candidate, source, encoder, finder):
        regions = () if probability is None else face_regions(probability, header.level, bits)
        if source.interest is not None:
            regions += interest_regions(source.interest.weights(header), header.level, bits)
        if not regions:
            continue
        header, first_level = replace(header, regions=True, regions_first=True), header.level
        try:
            chunks = source.with_chunk(Chunk(ChunkType.REGIONS, pack_regions(regions)))
            return code_latents(latents, header, chunks, candidate.rate, plan.rdo, first_level)
        except (TargetSizeError, LimitError):
            continue
    return candidate


def _region_trials(
    candidate: Candidate, source: PreparedPicture, encoder: Encoder, finder: FaceFinder | None
) -> Iterator[tuple[Header, NDArray[np.float32], NDArray[np.float32] | None]]:
    """Yields header, latents and face probabilities, first at a larger scale if all faces are small."""
    if finder is None:
        yield candidate.header, candidate.latents, None
        return
    probability = find_faces_tiled(finder, candidate.latents)
    boxes = _face_boxes(probability)
    larger = larger_scale(candidate, source)
    if larger and boxes and all(max(box[2:]) <= _SMALL_SIDE for box in boxes):
        scale, level = larger
        header = replace(candidate.header, scale=scale, level=level)
        latents = source.latents(header, encoder)
        yield header, latents, find_faces_tiled(finder, latents)
    yield candidate.header, candidate.latents, probability


def face_regions(probability: NDArray[np.float32], level: int, bits: int) -> tuple[Region, ...]:
    """Returns boxes around the faces of a file at ``level`` with ``bits`` bits, the largest first.

    ``probability`` float32[h, w], 0 to 1, is the probability that a position is within a face.
    """
    boxes = sorted(_face_boxes(probability), key=lambda box: -box[2] * box[3])[:_MAX_FACES]
    area = sum(width * height for _, _, width, height in boxes)
    if not area:
        return ()
    affordable = 16 * _MAX_SHARE * bits / (_BITS_PER_OCTAVE * area)
    levels = int(min(_MAX_LEVELS, level - _FACE_LEVEL, affordable))
    return tuple(Region(*box, levels) for box in boxes) if levels >= _MIN_LEVELS else ()


def _face_boxes(probability: NDArray[np.float32]) -> list[tuple[int, int, int, int]]:
    """Returns (left, top, width, height) of each connected part above the threshold, with its neighbours."""
    left_over = probability > _THRESHOLD
    boxes = []
    for start in zip(*np.nonzero(probability > _CERTAIN), strict=True):
        if not left_over[start]:
            continue
        part, left_over[start] = [start], False
        for y, x in part:  # The loop appends to ``part``.
            for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= neighbour[0] < probability.shape[0] and 0 <= neighbour[1] < probability.shape[1]
                if inside and left_over[neighbour]:
                    left_over[neighbour] = False
                    part.append(neighbour)
        if np.count_nonzero(probability[tuple(np.transpose(part))] > _CERTAIN) < _MIN_CERTAIN:
            continue
        top, left = np.maximum(np.min(part, 0) - 1, 0).tolist()
        bottom, right = np.minimum(np.max(part, 0) + 2, probability.shape).tolist()
        boxes.append((left, top, right - left, bottom - top))
    return boxes
