"""Patches: rectangles of the picture that a standard still-image codec codes (docs/format.md, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from calotype.container.field import Field
from calotype.container.varint import MAX_VARINT
from calotype.errors import FormatError

__all__ = [
    "MAX_ATLAS_SIDE",
    "MAX_FEATHER",
    "MAX_PATCHES",
    "PatchCodec",
    "Patches",
    "Rectangle",
    "atlas_rows",
    "atlas_size",
    "pack_patches",
    "unpack_patches",
]

MAX_PATCHES = 256
"""The largest number of patches in a file."""

MAX_FEATHER = 63
"""The largest feather, in pixels."""

MAX_ATLAS_SIDE = 16_383
"""The longest side, in pixels, that both codecs can code."""

_ALIGNMENT = 8
"""Rectangles start at rows of the atlas that are multiples of this number."""

Rectangle = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the picture to show."""

_CODEC = Field("codec of patches", high=1)
_LUMA = Field("planes of patches", high=1)
_FEATHER = Field("feather of patches", high=MAX_FEATHER)
_COUNT = Field("number of patches", low=1, high=MAX_PATCHES, offset=1)
_SIDES = (
    Field("left of a patch", size=0, high=MAX_VARINT),
    Field("top of a patch", size=0, high=MAX_VARINT),
    Field("width of a patch", size=0, low=1, high=MAX_VARINT, offset=1, error=FormatError),
    Field("height of a patch", size=0, low=1, high=MAX_VARINT, offset=1, error=FormatError),
)


class PatchCodec(IntEnum):
    """The codecs of the pixels of patches."""

    VP8 = 0
    AV1 = 1


@dataclass(frozen=True)
class Patches:
    """The content of a PATCHES chunk.

    The picture of the ``atlas``, coded by ``codec``, holds all ``rectangles``: see :func:`atlas_rows`. With
    ``luma`` only its luma is used. The weight of a patch rises from its edges over ``feather`` pixels.
    """

    codec: PatchCodec
    luma: bool
    feather: int
    rectangles: tuple[Rectangle, ...]
    atlas: bytes


def atlas_rows(rectangles: Sequence[Rectangle]) -> list[int]:
    """Returns the row of the atlas at which each rectangle starts; all start at column 0."""
    rows, end = [], 0
    for _, _, _, height in rectangles:
        rows.append(-(-end // _ALIGNMENT) * _ALIGNMENT)
        end = rows[-1] + height
    return rows


def atlas_size(rectangles: Sequence[Rectangle]) -> tuple[int, int]:
    """Returns (width, height) of the atlas in pixels."""
    return max(width for _, _, width, _ in rectangles), atlas_rows(rectangles)[-1] + rectangles[-1][3]


def pack_patches(patches: Patches) -> bytes:
    """Packs patches as data of a PATCHES chunk. Raises ``ValueError`` for numbers out of range."""
    start = (
        _CODEC.write(patches.codec)
        + _LUMA.write(int(patches.luma))
        + _FEATHER.write(patches.feather)
        + _COUNT.write(len(patches.rectangles))
    )
    sides = [
        field.write(side)
        for rectangle in patches.rectangles
        for field, side in zip(_SIDES, rectangle, strict=True)
    ]
    return start + b"".join(sides) + patches.atlas


def unpack_patches(data: bytes, width: int, height: int) -> Patches:
    """Unpacks the data of a PATCHES chunk of a picture to show of ``width`` x ``height`` pixels.

    Raises :class:`FormatError` for invalid data. The pixels of the atlas are not read.
    """
    numbers, position = [], 0
    for field in (_CODEC, _LUMA, _FEATHER, _COUNT):
        number, position = field.read(data, position)
        numbers.append(number)
    codec, luma, feather, count = numbers
    rectangles = []
    for _ in range(count):
        sides = []
        for field in _SIDES:
            side, position = field.read(data, position)
            sides.append(side)
        left, top, patch_width, patch_height = sides
        if left + patch_width > width or top + patch_height > height:
            raise FormatError(
                f"the patch of {patch_width}x{patch_height} pixels at {left}, {top} leaves the picture, which"
                f" has {width}x{height}"
            )
        rectangles.append((left, top, patch_width, patch_height))
    across, down = atlas_size(rectangles)
    if max(across, down) > MAX_ATLAS_SIDE or across * down > width * height:
        raise FormatError(
            f"the patches need an atlas of {across}x{down} pixels: more than the picture has, or than"
            f" {MAX_ATLAS_SIDE} on a side"
        )
    return Patches(PatchCodec(codec), bool(luma), feather, tuple(rectangles), data[position:])
