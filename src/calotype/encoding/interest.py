"""Regions of interest: what the user wants to be finer than the rest, as weights of latent positions.

::

    boxes, mask ─ Interest ─ weight of each position ─ rectangles of equal weight ─ regions
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calotype.container import Header, Region
from calotype.errors import SourceError
from calotype.imaging import load_picture
from calotype.latents import SD1
from calotype.options import EncodeOptions, Roi

__all__ = ["Interest", "interest_regions", "read_interest"]

_FINEST_LEVEL, _MAX_LEVELS = 32, 28
"""The finest level of a region, and its largest refinement against the rest of the picture. Below this level
finer steps change little: what is lost then is lost in the networks."""

_MIN_LEVELS = 4
"""The smallest refinement, at full weight, for which a REGIONS chunk is written."""

_MAX_SHARE = 0.3
"""The largest share of the file that finer latents may take from the rest of the picture."""

_BITS_PER_OCTAVE = 2.4
"""Additional bits of a position, over all channels, for each octave by which its step is finer."""

_WEIGHTS = 4
"""The number of different weights that are told apart."""

_RECTANGLE_BITS, _MAX_RECTANGLE_SHARE, _MAX_RECTANGLES = 48, 0.05, 128
"""Bits of a rectangle in the REGIONS chunk, the largest share of the file for all of them, and how many there
may be."""

_Rectangle = tuple[int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class Interest:
    """``boxes`` in pixels of the picture to show, and a ``mask`` uint8[H, W] of it, 255 for full weight."""

    boxes: tuple[Roi, ...]
    mask: NDArray[np.uint8] | None

    def weights(self, header: Header) -> NDArray[np.float32]:
        """Returns the weight float32[h, w] of each latent position, 0 to 1: the largest that reaches it."""
        (coded_width, coded_height), factor = header.coded_size, SD1.factor
        height, width = -(-coded_height // factor), -(-coded_width // factor)
        weights = np.zeros((height, width), np.float32)
        if self.mask is not None:
            rows = np.arange(height) * factor * header.height // coded_height
            columns = np.arange(width) * factor * header.width // coded_width
            largest = np.maximum.reduceat(np.maximum.reduceat(self.mask, rows, 0), columns, 1)
            weights = largest.astype(np.float32) / np.float32(255)
        for box in self.boxes:
            left, right = (x * coded_width / header.width / factor for x in (box.left, box.left + box.width))
            top, bottom = (y * coded_height / header.height / factor for y in (box.top, box.top + box.height))
            part = weights[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
            np.maximum(part, np.float32(box.weight), out=part)
        return weights


def read_interest(options: EncodeOptions, width: int, height: int) -> Interest | None:
    """Returns the options' regions of interest in a picture of ``width`` x ``height`` pixels; None without
    any.

    Raises :class:`SourceError` for a box that leaves the picture and for a mask of another size or that
    cannot be read, and :class:`LimitError`.
    """
    boxes, mask = [], None
    for roi in options.roi:
        if isinstance(roi, Roi):
            if roi.left + roi.width > width or roi.top + roi.height > height:
                raise SourceError(
                    f"the region of interest {roi} leaves the picture, which has {width}x{height} pixels"
                )
            boxes.append(roi)
            continue
        picture = load_picture(roi, limits=options.limits, strict=options.strict, keep=())
        if picture.rgb.shape[:2] != (height, width):
            has = f"{picture.rgb.shape[1]}x{picture.rgb.shape[0]}"
            raise SourceError(f"the mask {roi} has {has} pixels, not {width}x{height} as the picture")
        brightness = picture.rgb.max(-1)
        mask = brightness if mask is None else np.maximum(mask, brightness)
    return Interest(tuple(boxes), mask) if options.roi else None


def interest_regions(weights: NDArray[np.float32], level: int, bits: int) -> tuple[Region, ...]:
    """Returns regions for the ``weights`` float32[h, w], 0 to 1, in a file at ``level`` with ``bits`` bits.

    The refinement is proportional to the weight, and as large as the share of the file allows. There are no
    regions if the refinement would be too small to matter.
    """
    steps = np.ceil(weights * _WEIGHTS).astype(np.int64)
    max_rectangles = int(min(max(_MAX_RECTANGLE_SHARE * bits / _RECTANGLE_BITS, 1), _MAX_RECTANGLES))
    rectangles = _rectangles_at_most(steps, max_rectangles)
    total = sum(width * height * step / _WEIGHTS for _, _, width, height, step in rectangles)
    if not total:
        return ()
    affordable = 16 * _MAX_SHARE * bits / (_BITS_PER_OCTAVE * total)
    levels = min(_MAX_LEVELS, level - _FINEST_LEVEL, affordable)
    if levels < _MIN_LEVELS:
        return ()
    return tuple(
        Region(left, top, width, height, max(1, round(levels * step / _WEIGHTS)))
        for left, top, width, height, step in rectangles
    )


def _rectangles_at_most(steps: NDArray[np.int64], max_rectangles: int) -> Sequence[_Rectangle]:
    """Returns at most ``max_rectangles`` rectangles that cover ``steps`` int[h, w] where they are not 0.

    The grid is made coarser, with the largest step of each cell, until there are few enough.
    """
    cell = 1
    while True:
        padded = np.pad(steps, [(0, -side % cell) for side in steps.shape])
        cells = padded.reshape(padded.shape[0] // cell, cell, -1, cell).max((1, 3))
        rectangles = list(_equal_rectangles(cells))
        if len(rectangles) <= max_rectangles or cells.size == 1:
            height, width = steps.shape
            return [
                (x * cell, y * cell, min(w * cell, width - x * cell), min(h * cell, height - y * cell), step)
                for x, y, w, h, step in rectangles
            ]
        cell *= 2


def _equal_rectangles(cells: NDArray[np.int64]) -> Iterator[_Rectangle]:
    """Yields (left, top, width, height, step) of runs in a row, joined with equal runs of the rows below."""
    open_runs: dict[tuple[int, int, int], int] = {}
    for y, row in enumerate([*cells.tolist(), [0] * cells.shape[1]]):
        borders = [0, *(x for x in range(1, len(row)) if row[x] != row[x - 1]), len(row)]
        runs = {(x, end, row[x]) for x, end in pairwise(borders) if row[x]}
        for run in sorted(open_runs.keys() - runs):
            top = open_runs.pop(run)
            yield run[0], top, run[1] - run[0], y - top, run[2]
        for run in sorted(runs - open_runs.keys()):
            open_runs[run] = y
