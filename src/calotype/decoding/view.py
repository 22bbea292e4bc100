"""The view of a picture: the size at which it is shown, the part that is shown, and the pixels it needs.

::

    source            the pixels of the decoder network, or those of the thumbnail network, which has an
       │              eighth or a sixteenth as many along each side
    resampling        only where a pixel of the source is not a pixel of the reduced picture
       │
    reduced picture   the picture to show, whose sides are those of the file, divided by 1, 8 or 16
       │
    box               the part of it that is shown
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from calotype import imaging
from calotype.container import Coding, Header
from calotype.errors import BoxError
from calotype.latents import SD1
from calotype.models.windows import Area
from calotype.options import DecodeOptions

__all__ = ["DecodedView"]

_FACTOR = SD1.factor
_LOBES = 3
"""The reach of the resampling kernel, in pixels of the source or of the result, whichever is larger."""

_MIN_POSITIONS_PER_PIXEL = 0.75
"""The coarse latents are used if there are at least so many of them for a pixel, along each side."""


@dataclass(frozen=True)
class DecodedView:
    """``size`` is (width, height) of the reduced picture, ``box`` (left, top, right, bottom) the part of it.

    ``coded_size`` is that of the coded picture in pixels, ``shown_size`` that of the whole picture to show,
    which is larger than the reduced one by ``reduce``. One pixel of the source stands for ``unit`` by
    ``unit`` coded ones: 1 for those of the decoder network.
    """

    size: tuple[int, int]
    box: tuple[int, int, int, int]
    shown_size: tuple[int, int]
    coded_size: tuple[int, int]
    reduce: int
    unit: int

    @classmethod
    def of(cls, header: Header, options: DecodeOptions) -> DecodedView:
        """Returns the requested view of a file. Raises :class:`BoxError` for a box beyond the picture."""
        width, height = shown = header.width, header.height
        reduce = options.reduce
        left, top, right, bottom = options.box or (0, 0, width, height)
        if right > width or bottom > height:
            raise BoxError((left, top, right, bottom), shown)
        box = (left // reduce, top // reduce, ceil(right / reduce), ceil(bottom / reduce))
        size = ceil(width / reduce), ceil(height / reduce)
        unit = 1
        if reduce > 1:
            coarse = 2 * _FACTOR
            # The number of coarse positions for a pixel of the reduced picture.
            positions = min(c * reduce / (s * coarse) for c, s in zip(header.coded_size, shown, strict=True))
            unit = (
                coarse
                if positions >= _MIN_POSITIONS_PER_PIXEL and header.coding == Coding.HIERARCHICAL
                else _FACTOR
            )
        return cls(size, box, shown, header.coded_size, reduce, unit)

    @property
    def reduced(self) -> bool:
        """Returns whether the picture is made without the decoder network."""
        return self.unit > 1

    @property
    def spacing(self) -> int:
        """Returns the spacing of the needed latents: 2 for every second row and column, otherwise 1."""
        return max(1, self.unit // _FACTOR)

    @property
    def part(self) -> Area:
        """Returns the rows and columns of latents whose pixels :meth:`shown` needs."""
        pixels = 1 if self.reduced else _FACTOR
        columns, rows = (
            slice(low // pixels, ceil(min(high, self._source_size(axis)) / pixels))
            for axis, (low, high) in enumerate(self._source_spans)
        )
        return rows, columns

    def shown(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the box uint8[bottom - top, right - left, 3], from the source's pixels of ``part``."""
        pixels = 1 if self.reduced else _FACTOR
        (left, right), (top, bottom) = self._source_spans
        first_row, first_column = (axis.start * pixels for axis in self.part)
        rgb = rgb[top - first_row : bottom - first_row, left - first_column : right - first_column]
        if self._needs_no_resampling:
            return rgb
        # The last pixel of a reduced picture may reach beyond the source.
        beyond = bottom - top - rgb.shape[0], right - left - rgb.shape[1]
        rgb = np.pad(rgb, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
        (x_low, x_high), (y_low, y_high) = (self._scaled(axis, self.box[axis::2]) for axis in (0, 1))
        area = (x_low - left, y_low - top, x_high - left, y_high - top)
        return imaging.resample_area(rgb, self.box[2] - self.box[0], self.box[3] - self.box[1], area)

    def shown_plane(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the box uint8[bottom - top, right - left] of a plane of the whole picture, uint8[H, W]."""
        left, top, right, bottom = (side * self.reduce for side in self.box)
        return imaging.reduce_plane(plane[top:bottom, left:right], self.reduce)

    @property
    def _needs_no_resampling(self) -> bool:
        """Whether each pixel that a network gives is one pixel of the decoded picture at its reduced size."""
        return all(
            coded * self.reduce == shown * self.unit
            for coded, shown in zip(self.coded_size, self.shown_size, strict=True)
        )

    def _source_size(self, axis: int) -> int:
        """Returns the number of pixels of the source along an axis (0: x)."""
        return ceil(self.coded_size[axis] / self.unit)

    def _scaled(self, axis: int, sides: Sequence[int]) -> list[float]:
        """Returns positions along an axis of the reduced picture, in pixels of the source."""
        coded, shown = self.coded_size[axis], self.shown_size[axis]
        return [side * self.reduce * coded / (shown * self.unit) for side in sides]

    @property
    def _source_spans(self) -> list[tuple[int, int]]:
        """Returns the first and the last (excluded) pixel of the source that the box needs, along x and y."""
        areas = []
        for axis in (0, 1):
            low, high, unit, all_ = self._scaled(axis, [*self.box[axis::2], 1, self.size[axis]])
            reach = 0.0 if self._needs_no_resampling else _LOBES * max(1.0, unit)
            end = max(self._source_size(axis), ceil(all_))
            areas.append((max(0, floor(low - reach)), min(end, ceil(high + reach))))
        return areas
