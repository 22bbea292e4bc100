"""Regions of interest: the parts of a picture that the user wants finer than the rest, as rectangles of
latents.

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

_MAX_FRACTION = 0.3
"""The largest fraction of the file that finer latents may take from the rest of the picture."""

_BITS_PER_HALVED_STEP = 2.4
"""Additional bits of a latent position, over all channels, each time that its step is halved."""

_WEIGHT_CLASSES = 4
"""The number of classes that positions are sorted into: class n has a weight of n / 4; class 0 is outside."""

_RECTANGLE_BITS, _MAX_RECTANGLE_FRACTION, _MAX_RECTANGLES = 48, 0.05, 128
"""Bits of a rectangle in the REGIONS chunk, the largest fraction of the file for all of them, and the largest
number of them."""

_Rectangle = tuple[int, int, int, int, int]
"""Left, top, width and height in latent positions, and the weight class."""


@dataclass(frozen=True, eq=False)
class Interest:
    """What the user marked: ``boxes`` in pixels of the picture to show, and a ``mask`` uint8[H, W] of it.

    255 in the mask is full weight, 0 is none.
    """

    boxes: tuple[Roi, ...]
    mask: NDArray[np.uint8] | None

    def weights(self, header: Header) -> NDArray[np.float32]:
        """Returns the weight float32[h, w] of each latent position, 0 to 1: the largest in its area."""
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
            mask_size = f"{picture.rgb.shape[1]}x{picture.rgb.shape[0]}"
            raise SourceError(f"the mask {roi} has {mask_size} pixels, not {width}x{height} as the picture")
        brightness = picture.rgb.max(-1)
        mask = brightness if mask is None else np.maximum(mask, brightness)
    return Interest(tuple(boxes), mask) if options.roi else None


def interest_regions(weights: NDArray[np.float32], level: int, bits: int) -> tuple[Region, ...]:
    """Returns regions for the ``weights`` float32[h, w], 0 to 1, in a file at ``level`` with ``bits`` bits.

    The refinement is proportional to the weight, and as large as ``_MAX_FRACTION`` of the file allows. There
    are no regions if the refinement at full weight would be below ``_MIN_LEVELS``.
    """
    classes = np.ceil(weights * _WEIGHT_CLASSES).astype(np.int64)
    max_rectangles = int(min(max(_MAX_RECTANGLE_FRACTION * bits / _RECTANGLE_BITS, 1), _MAX_RECTANGLES))
    rectangles = _rectangles_at_most(classes, max_rectangles)
    weighted_area = sum(
        width * height * class_ / _WEIGHT_CLASSES for _, _, width, height, class_ in rectangles
    )
    if not weighted_area:
        return ()
    affordable = 16 * _MAX_FRACTION * bits / (_BITS_PER_HALVED_STEP * weighted_area)
    levels = min(_MAX_LEVELS, level - _FINEST_LEVEL, affordable)
    if levels < _MIN_LEVELS:
        return ()
    return tuple(
        Region(left, top, width, height, max(1, round(levels * class_ / _WEIGHT_CLASSES)))
        for left, top, width, height, class_ in rectangles
    )


def _rectangles_at_most(classes: NDArray[np.int64], max_rectangles: int) -> Sequence[_Rectangle]:
    """Returns at most ``max_rectangles`` rectangles that cover ``classes`` int[h, w] where they are not 0.

    The grid is made coarser, with the largest class of each cell, until there are few enough.
    """
    cell = 1
    while True:
        padded = np.pad(classes, [(0, -side % cell) for side in classes.shape])
        cells = padded.reshape(padded.shape[0] // cell, cell, -1, cell).max((1, 3))
        rectangles = list(_equal_rectangles(cells))
        if len(rectangles) <= max_rectangles or cells.size == 1:
            height, width = classes.shape
            return [
                (
                    x * cell,
                    y * cell,
                    min(w * cell, width - x * cell),
                    min(h * cell, height - y * cell),
                    class_,
                )
                for x, y, w, h, class_ in rectangles
            ]
        cell *= 2


def _equal_rectangles(cells: NDArray[np.int64]) -> Iterator[_Rectangle]:
    """Yields rectangles of cells of one class: runs in a row, joined with equal runs of the rows below."""
    open_runs: dict[tuple[int, int, int], int] = {}
    for y, row in enumerate([*cells.tolist(), [0] * cells.shape[1]]):
        borders = [0, *(x for x in range(1, len(row)) if row[x] != row[x - 1]), len(row)]
        runs = {(x, end, row[x]) for x, end in pairwise(borders) if row[x]}
        for run in sorted(open_runs.keys() - runs):
            top = open_runs.pop(run)
            yield run[0], top, run[1] - run[0], y - top, run[2]
        for run in sorted(runs - open_runs.keys()):
            open_runs[run] = y
