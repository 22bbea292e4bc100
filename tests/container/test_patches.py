from __future__ import annotations

import pytest

from calotype.container import (
    MAX_PATCHES,
    PatchCodec,
    Patches,
    Rectangle,
    atlas_rows,
    atlas_size,
    pack_patches,
    unpack_patches,
)
from calotype.errors import FormatError, TruncatedError, UnsupportedError

PATCHES = Patches(PatchCodec.AV1, True, 5, ((300, 2, 20, 9), (0, 0, 7, 3), (1, 1, 1, 1)), b"atlas")
PACKED = bytes([1, 1, 5, 2, 0xAC, 2, 2, 19, 8, 0, 0, 6, 2, 1, 1, 0, 0]) + b"atlas"


def patches(*rectangles: Rectangle) -> bytes:
    return pack_patches(Patches(PatchCodec.VP8, False, 0, rectangles, b""))


def test_packed_patches_have_these_bytes() -> None:
    assert pack_patches(PATCHES) == PACKED
    assert unpack_patches(PACKED, 320, 11) == PATCHES


def test_rectangles_stand_below_each_other_in_the_atlas() -> None:
    assert atlas_rows(PATCHES.rectangles) == [0, 16, 24]
    assert atlas_size(PATCHES.rectangles) == (20, 25)
    assert atlas_rows([(0, 0, 1, 8), (0, 0, 1, 1)]) == [0, 8]


@pytest.mark.parametrize(("place", "value"), [(0, 2), (1, 2), (2, 64)])
def test_unknown_codecs_planes_and_feathers_are_refused(place: int, value: int) -> None:
    with pytest.raises(UnsupportedError, match=f"patches {value},"):
        unpack_patches(PACKED[:place] + bytes([value]) + PACKED[place + 1 :], 320, 11)


@pytest.mark.parametrize("size", range(len(PACKED) - 5))
def test_data_that_end_within_a_rectangle_are_refused(size: int) -> None:
    with pytest.raises(TruncatedError):
        unpack_patches(PACKED[:size], 320, 11)


@pytest.mark.parametrize(("width", "height"), [(319, 11), (320, 10)])
def test_a_rectangle_outside_of_the_picture_is_refused(width: int, height: int) -> None:
    with pytest.raises(FormatError, match="leaves the picture"):
        unpack_patches(PACKED, width, height)


def test_the_atlas_has_no_more_pixels_than_the_picture() -> None:
    one = (0, 0, 24, 16)
    assert unpack_patches(patches(one, (0, 0, 24, 8)), 24, 24).rectangles[0] == one
    with pytest.raises(FormatError, match="atlas of 24x25"):
        unpack_patches(patches(one, (0, 0, 24, 9)), 24, 24)
    with pytest.raises(FormatError, match="atlas of 16384x1"):
        unpack_patches(patches((0, 0, 16384, 1)), 16384, 16384)


def test_the_number_of_patches_is_bounded() -> None:
    many = patches(*[(0, 0, 1, 1)] * MAX_PATCHES)
    assert len(unpack_patches(many, 100, 100).rectangles) == MAX_PATCHES
    for count in (0, MAX_PATCHES + 1):
        with pytest.raises(ValueError, match=f"={count}"):
            patches(*[(0, 0, 1, 1)] * count)
