"""Thumbnails of any size: the reduction at which a picture is decoded, and the resampling that remains."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from calotype.arguments import check_type
from calotype.options import REDUCTIONS, DecodeOptions

__all__ = ["ThumbnailPlan", "plan_thumbnail"]


@dataclass(frozen=True)
class ThumbnailPlan:
    """How to make a thumbnail of ``size`` (width, height).

    ``options`` decode the picture to at least this size. ``area`` (left, top, right, bottom) is the part of
    the decoded picture that becomes the thumbnail, in its pixels.
    """

    options: DecodeOptions
    size: tuple[int, int]
    area: tuple[float, float, float, float]

    def resample(self, image: Image.Image) -> Image.Image:
        """Returns the thumbnail, from the picture that ``options`` have decoded."""
        if (0, 0, *self.size) == self.area and image.size == self.size:
            return image
        return image.resize(self.size, Image.Resampling.LANCZOS, box=self.area)


def plan_thumbnail(
    shown: tuple[int, int], size: int | tuple[int, int], options: DecodeOptions
) -> ThumbnailPlan:
    """Returns the plan for a picture of ``shown`` (width, height) to fit into ``size``.

    Raises ``TypeError`` and ``ValueError`` for an invalid ``size``, and ``ValueError`` for ``options`` with
    ``reduce``.
    """
    check_type("size", size, int | tuple[int, int])
    max_size = size if isinstance(size, tuple) else (size, size)
    if len(max_size) != 2:
        raise ValueError(f"size (={size}) must be one number of pixels, or (width, height)")
    for side in max_size:
        check_type("size", side, int)
        if side < 1:
            raise ValueError(f"size (={size}) must be at least 1 pixel")
    if options.reduce != 1:
        raise ValueError(f"reduce (={options.reduce}) is chosen by size, and must be 1")
    left, top, right, bottom = options.box or (0, 0, *shown)
    width, height = right - left, bottom - top
    scale = min(1.0, max_size[0] / width, max_size[1] / height)
    target = max(1, round(width * scale)), max(1, round(height * scale))
    reduce = max(n for n in REDUCTIONS if n * target[0] <= width and n * target[1] <= height)
    # Whole pixels of the reduced picture are decoded, so that the first of them may begin before the area.
    x, y = left // reduce, top // reduce
    area = left / reduce - x, top / reduce - y, right / reduce - x, bottom / reduce - y
    return ThumbnailPlan(replace(options, reduce=reduce), target, area)
