"""Finer steps than the rest for the latents of faces, at coarse levels.

::

    candidate ─ latents ─ face finder ─ probability of a face ─ regions ─ candidate, no larger

Coarse steps are more visible in eyes and mouths than in grass or stone. Most faces are small, so that finer
latents for them take few bytes from the rest. For a face of few latents finer steps are not enough, and the
picture is coded at a larger scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.connected import connected_parts
from calotype.container import Region
from calotype.encoding.candidate import Candidate

__all__ = ["distorts_faces", "face_boxes", "face_regions", "has_only_small_faces"]

_COARSE_LEVEL = 64
"""The level above which faces are visibly distorted."""

_FACE_LEVEL, _MAX_LEVELS = 48, 28
"""The level of faces, and their largest refinement against the rest of the picture."""

_MAX_FRACTION = 0.1
"""The largest fraction of the payload that finer latents for faces may take from the rest of the picture."""

_BITS_PER_HALVED_STEP = 2.4
"""Additional bits of a latent position, over all channels, each time that its step is halved."""

_THRESHOLD, _CERTAIN, _MIN_CERTAIN = 0.3, 0.7, 4
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


def has_only_small_faces(probability: NDArray[np.float32]) -> bool:
    """Returns whether there are faces, and all of them have so few latents that finer steps are not enough.

    ``probability`` is that of :func:`face_regions`.
    """
    boxes = face_boxes(probability)
    return bool(boxes) and all(max(box[2:]) <= _SMALL_SIDE for box in boxes)


def face_regions(probability: NDArray[np.float32], level: int, bits: int) -> tuple[Region, ...]:
    """Returns boxes around the faces of a file at ``level`` with a payload of ``bits`` bits, largest first.

    ``probability`` float32[h, w], 0 to 1, is the probability that a position is within a face.
    """
    boxes = sorted(face_boxes(probability), key=lambda box: -box[2] * box[3])[:_MAX_FACES]
    area = sum(width * height for _, _, width, height in boxes)
    if not area:
        return ()
    affordable = 16 * _MAX_FRACTION * bits / (_BITS_PER_HALVED_STEP * area)
    levels = int(min(_MAX_LEVELS, level - _FACE_LEVEL, affordable))
    return tuple(Region(*box, levels) for box in boxes) if levels >= _MIN_LEVELS else ()


def face_boxes(probability: NDArray[np.float32]) -> list[tuple[int, int, int, int]]:
    """Returns (left, top, width, height) of each face in positions: a connected part, with its neighbours.

    ``probability`` is that of :func:`face_regions`.
    """
    boxes = []
    for rows, columns in connected_parts(probability > _THRESHOLD):
        if np.count_nonzero(probability[rows, columns] > _CERTAIN) < _MIN_CERTAIN:
            continue
        height, width = probability.shape
        top, bottom = max(int(rows.min()) - 1, 0), min(int(rows.max()) + 2, height)
        left, right = max(int(columns.min()) - 1, 0), min(int(columns.max()) + 2, width)
        boxes.append((left, top, right - left, bottom - top))
    return boxes
