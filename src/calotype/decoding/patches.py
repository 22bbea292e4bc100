"""Patches of a file, laid over the picture that the decoder network made (docs/format.md, section 14).

::

    PATCHES ─ rectangles ─ atlas: one picture ─ rows of each rectangle ─┐
                                    weights, from the edges inwards ────┴─ picture to show
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.container import (
    PatchCodec,
    Patches,
    Rectangle,
    atlas_rows,
    atlas_size,
    unpack_patches,
)
from calotype.decoding.view import DecodedView
from calotype.imaging import luma, unpack_av1, unpack_vp8

__all__ = ["DecodedPatches", "decoded_atlas", "patch_weights"]

_FULL = 256
"""The weight of an opaque patch."""


@dataclass(frozen=True, eq=False)
class DecodedPatches:
    """The ``patches`` of a picture of ``size`` (width, height), and the pixels uint8[h, w, 3] of their
    atlas."""

    patches: Patches
    size: tuple[int, int]
    atlas: NDArray[np.uint8]

    @classmethod
    def of(cls, data: bytes, size: tuple[int, int]) -> DecodedPatches:
        """Decodes the data of a PATCHES chunk of a picture of ``size``.

        Raises :class:`FormatError`, which is an :class:`UnsupportedError` if this Pillow lacks the codec, and
        :class:`LimitError`.
        """
        patches = unpack_patches(data, *size)
        return cls(patches, size, decoded_atlas(patches))

    def laid_over(self, shown: NDArray[np.uint8], view: DecodedView) -> NDArray[np.uint8]:
        """Returns the pixels uint8[H, W, 3] of a view with the patches on them, in the order of the file.

        A pixel of a reduced picture gets the mean over the pixels for which it stands.
        """
        result = shown.copy()
        left, top, right, bottom = view.box
        for (x, y), sums, weights, counts in self._layers(view.reduce):
            height, width = weights.shape
            columns, rows = (
                slice(max(x, left), min(x + width, right)),
                slice(max(y, top), min(y + height, bottom)),
            )
            if columns.start >= columns.stop or rows.start >= rows.stop:
                continue
            inside = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
            place = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
            under = result[place].astype(np.int64)
            hidden = luma(result[place])[..., None] if self.patches.luma else under
            change = sums[inside] - hidden * weights[inside][..., None]
            whole = _FULL * counts[inside][..., None]
            result[place] = np.clip(under + (change + whole // 2) // whole, 0, 255)
        return result

    def _layers(
        self, reduce: int
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Yields each patch in a picture that is smaller by ``reduce``: (left, top) and sums over its pixels.

        These are int64[h, w, channels] of samples times weights, int64[h, w] of weights, and the number of
        pixels of the whole picture.
        """
        rectangles = self.patches.rectangles
        for rectangle, row in zip(rectangles, atlas_rows(rectangles), strict=True):
            left, top, width, height = rectangle
            pixels = self.atlas[row : row + height, :width]
            samples = luma(pixels)[..., None] if self.patches.luma else pixels
            weights = patch_weights(rectangle, self.size, self.patches.feather)
            sums = _sums_of_cells(samples * weights[..., None], (top, left), reduce)
            sums_of_weights = _sums_of_cells(weights, (top, left), reduce)
            first = left // reduce, top // reduce
            columns, rows = (
                np.minimum((start + 1 + np.arange(cells)) * reduce, side)
                - (start + np.arange(cells)) * reduce
                for start, cells, side in zip(first, sums_of_weights.shape[::-1], self.size, strict=True)
            )
            yield first, sums, sums_of_weights, np.outer(rows, columns)


def decoded_atlas(patches: Patches) -> NDArray[np.uint8]:
    """Returns the pixels uint8[h, w, 3] of an atlas. Raises as :meth:`DecodedPatches.of`."""
    width, height = atlas_size(patches.rectangles)
    if patches.codec == PatchCodec.AV1:
        return unpack_av1(patches.atlas, width, height, monochrome=patches.luma)
    return unpack_vp8(patches.atlas, width, height)


def patch_weights(rectangle: Rectangle, size: tuple[int, int], feather: int) -> NDArray[np.int64]:
    """Returns the weights int64[height, width] of a patch, 0 to 256, in a picture of ``size`` (w, h).

    They rise over ``feather`` pixels from the edges that are not edges of the picture.
    """
    ramps = []
    for axis in (1, 0):
        start, length = rectangle[axis], rectangle[axis + 2]
        ramp = np.full(length, _FULL, np.int64)
        if feather:
            rise = np.minimum((2 * np.arange(length) + 1) * (_FULL // 2) // feather, _FULL)
            if start > 0:
                ramp = np.minimum(ramp, rise)
            if start + length < size[axis]:
                ramp = np.minimum(ramp, rise[::-1])
        ramps.append(ramp)
    return (np.outer(ramps[0], ramps[1]) + _FULL // 2) // _FULL


def _sums_of_cells(values: NDArray[np.int64], start: tuple[int, int], side: int) -> NDArray[np.int64]:
    """Returns sums over cells of ``side`` x ``side`` of int64[h, w, ...], which begin at ``start`` (y, x)."""
    for axis in (0, 1):
        before = start[axis] % side
        ends = [(0, 0)] * values.ndim
        ends[axis] = (before, -(before + values.shape[axis]) % side)
        padded = np.moveaxis(np.pad(values, ends), axis, 0)
        values = np.moveaxis(padded.reshape(-1, side, *padded.shape[1:]).sum(1), 0, axis)
    return values
