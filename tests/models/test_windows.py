"""The windows of networks that work on parts of a picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from calotype.models.windows import (
    Area,
    Window,
    cheapest_parts,
    equal_parts,
    full_parts,
    overlapping_parts,
    tile_windows,
)

SHAPE = 17, 11


@pytest.mark.parametrize("parts", [full_parts, equal_parts])
@pytest.mark.parametrize("margin", [0, 3, 8])
def test_tiles_cover_everything_once(margin: int, parts: Callable[[int, int], list[slice]]) -> None:
    visits = np.zeros(SHAPE, int)
    rows, columns = (parts(size, 5) for size in SHAPE)
    for read, kept, inner in tile_windows(rows, columns, margin):
        visits[kept] += 1
        cut = np.arange(17 * 11).reshape(SHAPE)
        assert np.array_equal(cut[read][inner], cut[kept])
        for whole, part, size in zip(read, kept, SHAPE, strict=True):
            assert whole.start == max(part.start - margin, 0)
            assert whole.stop == min(part.stop + margin, size)
    assert (visits == 1).all()


def test_what_is_read_may_go_beyond_what_is_kept() -> None:
    inside = np.arange(17 * 11).reshape(SHAPE)
    around = np.pad(inside, 2, constant_values=-1)
    rows, columns = (equal_parts(size, 6) for size in SHAPE)
    for read, kept, inner in tile_windows(rows, columns, 3, border=2):
        assert np.array_equal(around[read][inner], inside[kept])
        for whole, part, size in zip(read, kept, SHAPE, strict=True):
            assert whole.start == max(part.start + 2 - 3, 0)
            assert whole.stop == min(part.stop + 2 + 3, size + 4)


def sizes(parts: list[slice]) -> list[int]:
    return [part.stop - part.start for part in parts]


def test_full_parts_are_full_but_the_last() -> None:
    assert sizes(full_parts(17, 5)) == [5, 5, 5, 2]
    assert sizes(full_parts(5, 5)) == [5]
    assert full_parts(17, 5, 8) == [slice(8, 13), slice(13, 17)]


def test_equal_parts_differ_by_one() -> None:
    assert sizes(equal_parts(17, 5)) == [4, 4, 4, 5]
    assert sizes(equal_parts(5, 5)) == [5]


def positions(area: Area) -> int:
    return int(np.prod([axis.stop - axis.start for axis in area]))


@pytest.mark.parametrize("size", [(40, 200), (135, 240), (512, 512), (9, 3000)])
@pytest.mark.parametrize(("margin", "last_margin"), [(0, 0), (3, 3), (34, 34), (34, 3)])
def test_the_cheapest_parts_cover_an_area_in_windows_of_a_limited_size(
    size: tuple[int, int], margin: int, last_margin: int
) -> None:
    max_positions = (64 + 2 * last_margin) ** 2
    kept = slice(2, size[0] - 1), slice(0, size[1])
    visits, reads = np.zeros(size, int), 0
    parts = cheapest_parts(size, kept, margin, max_positions, last_margin)
    largest = max(positions(window.read) for window in tile_windows(*parts, last_margin, size=size))
    assert largest <= max_positions
    for read, part, _ in tile_windows(*parts, margin, size=size):
        visits[part] += 1
        reads += positions(read)
        assert (part[0].start - 2) % 8 == part[1].start % 8 == 0
    assert (visits[kept] == 1).all() and visits.sum() == visits[kept].size
    squares = [full_parts(part.stop, 64, part.start) for part in kept]
    assert reads <= sum(positions(window.read) for window in tile_windows(*squares, margin, size=size))


def test_what_fits_one_window_is_not_cut() -> None:
    whole = slice(0, 135), slice(0, 240)  # 1920 x 1080 pixels
    assert cheapest_parts((135, 240), whole, 34, 196**2, 34) == ([whole[0]], [whole[1]])
    with pytest.raises(ValueError, match="max_positions"):
        cheapest_parts((135, 240), whole, 34, 75**2, 34)


@pytest.mark.parametrize(("side", "overlap", "margin"), [(12, 6, 2), (12, 4, 2), (8, 2, 0), (8, 4, 1)])
@pytest.mark.parametrize("size", [7, 8, 12, 13, 20, 61])
def test_overlapping_parts_are_read_with_one_side(size: int, side: int, overlap: int, margin: int) -> None:
    parts = overlapping_parts(size, side, overlap, margin)
    read = [window.read[0] for window in tile_windows(parts, [slice(0, 1)], margin)]
    assert set(sizes(read)) == {min(side, size)}
    assert (read[0].start, read[-1].stop) == (0, size)
    assert (parts[0].start, parts[-1].stop) == (0, size)
    for left, right in pairwise(parts):
        assert left.stop - right.start >= overlap - 2 * margin


def test_a_window_of_latents_is_one_of_pixels() -> None:
    areas = (slice(1, 3), slice(0, 2)), (slice(2, 3), slice(0, 1)), (slice(1, 2), slice(0, 1))
    read, kept, inner = Window(*areas).scaled(8)
    assert read == (slice(8, 24), slice(0, 16))
    assert kept == (slice(16, 24), slice(0, 8))
    assert inner == (slice(8, 16), slice(0, 8))


def test_windows_of_a_part_read_beyond_it() -> None:
    (window,) = tile_windows([slice(3, 5)], [slice(6, 9)], 2, size=(20, 10))
    assert window == Window(
        (slice(1, 7), slice(4, 10)), (slice(3, 5), slice(6, 9)), (slice(2, 4), slice(2, 5))
    )
