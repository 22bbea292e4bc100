"""Thumbnails of any size: by how much to reduce a picture, and what remains to be resampled."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from calotype.arguments import check_type
from calotype.options import REDUCTIONS, DecodeOptions

__all__ = ["ThumbnailPlan", "plan_thumbnail"]


@dataclass(frozen=True)
class ThumbnailPlan:
    """``options`` decode the picture to a size of at least ``size`` (width, height).

    ``area`` (left, top, right, bottom) of what is decoded, in its pixels, is what was asked for.
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

    Raises ``TypeError`` and ``ValueError`` for a ``size`` that is none, and for ``options`` with ``reduce``.
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
    by = max(by for by in REDUCTIONS if by * target[0] <= width and by * target[1] <= height)
    first = left // by, top // by
    area = left / by - first[0], top / by - first[1], right / by - first[0], bottom / by - first[1]
    return ThumbnailPlan(replace(options, reduce=by), target, area)
