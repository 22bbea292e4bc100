"""Windows: the division of a picture, or of its latents, for networks that cannot take all of it at once.

::

    read   ├──────────────────────────┤      the input of the network: the kept part and the margin around it
    kept       ├──────────────────┤          the part of its result that is kept
            margin              margin       cut off at the border of the picture

An axis is first cut into kept parts, by one of the functions below. :func:`tile_windows` then adds the
margins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import ceil
from typing import NamedTuple

__all__ = [
    "Area",
    "Window",
    "cheapest_parts",
    "equal_parts",
    "full_parts",
    "overlapping_parts",
    "scale_area",
    "shift_area",
    "tile_windows",
    "whole_area",
]

Area = tuple[slice, slice]
"""Rows and columns, to index the last two axes of latents or the first two of a picture."""


class Window(NamedTuple):
    """``read`` is what the network gets, ``kept`` the part of its result that is kept.

    ``inner`` is the kept part within the read one: it counts from the corner of ``read``.
    """

    read: Area
    kept: Area
    inner: Area

    def scaled(self, factor: int) -> Window:
        """Returns the same window where each position is ``factor`` by ``factor`` samples."""
        return Window(*(scale_area(area, factor) for area in self))


def whole_area(height: int, width: int) -> Area:
    """Returns the area of all rows and columns."""
    return slice(0, height), slice(0, width)


def shift_area(area: Area, down: int, right: int) -> Area:
    """Returns the area shifted by ``down`` rows and ``right`` columns."""
    rows, columns = area
    return slice(rows.start + down, rows.stop + down), slice(columns.start + right, columns.stop + right)


def scale_area(area: Area, factor: int) -> Area:
    """Returns the same area where each position is ``factor`` by ``factor`` samples."""
    rows, columns = (slice(part.start * factor, part.stop * factor) for part in area)
    return rows, columns


def full_parts(stop: int, side: int, start: int = 0) -> list[slice]:
    """Divides the positions from ``start`` to ``stop`` into parts of ``side``; the last part has the
    remainder.
    """
    return [slice(begin, min(begin + side, stop)) for begin in range(start, stop, side)]


def equal_parts(size: int, side: int) -> list[slice]:
    """Divides ``size`` positions into as few parts as ``side`` allows, whose sizes differ by 1 at most."""
    count = ceil(size / side)
    return [slice(size * part // count, size * (part + 1) // count) for part in range(count)]


def cheapest_parts(
    size: tuple[int, int], kept: Area, margin: int, max_positions: int, last_margin: int
) -> tuple[list[slice], list[slice]]:
    """Divides an area into rows and columns of parts, so that few positions are read more than once.

    ``size`` is the number of rows and columns of the picture. A window reads ``margin`` positions around its
    part, and no part has more than ``max_positions`` with ``last_margin`` around it. Parts begin at multiples
    of 8 from the corner of the area. Raises ``ValueError`` if ``max_positions`` is too small for parts of
    8 x 8 positions.
    """
    best: tuple[int, list[slice], list[slice]] | None = None
    most = [-(-(part.stop - part.start) // _STEP) for part in kept]
    for count in range(1, most[0] + 1):
        rows = _stepped_parts(kept[0], count)
        read_rows, last_rows = (_read_sizes(rows, size[0], around) for around in (margin, last_margin))
        if best is not None and sum(read_rows) * min(size[1], kept[1].stop - kept[1].start) >= best[0]:
            break
        for other_count in range(1, most[1] + 1):
            columns = _stepped_parts(kept[1], other_count)
            last_columns = _read_sizes(columns, size[1], last_margin)
            if max(last_rows) * max(last_columns) <= max_positions:
                read = sum(read_rows) * sum(_read_sizes(columns, size[1], margin))
                if best is None or read < best[0]:
                    best = read, rows, columns
                break
    if best is None:
        raise ValueError(f"max_positions (={max_positions}) is too small for the margin {last_margin}")
    return best[1:]


_STEP = 8


def _stepped_parts(whole: slice, count: int) -> list[slice]:
    """Divides an axis into at most ``count`` parts of about the same size, which begin at multiples of 8."""
    steps = -(-(whole.stop - whole.start) // _STEP)
    side = _STEP * -(-steps // count)
    return full_parts(whole.stop, side, whole.start)


def _read_sizes(parts: Sequence[slice], size: int, margin: int) -> list[int]:
    """Returns the number of positions that the window of each part reads along an axis."""
    return [min(part.stop + margin, size) - max(part.start - margin, 0) for part in parts]


def overlapping_parts(size: int, side: int, overlap: int, margin: int) -> list[slice]:
    """Divides ``size`` positions into parts that, with ``margin``, all have ``side`` and share at least
    ``overlap``.

    The parts themselves share at least ``overlap - 2 * margin``. There is one part if ``size`` is at most
    ``side``. ``overlap`` is at most half of ``side``, ``margin`` at most half of ``overlap``.
    """
    if size <= side:
        return [slice(0, size)]
    count = ceil((size - overlap) / (side - overlap))
    starts = [round(part * (size - side) / (count - 1)) for part in range(count)]
    return [
        slice(start + (margin if start > 0 else 0), start + side - (margin if start + side < size else 0))
        for start in starts
    ]


def tile_windows(
    rows: Sequence[slice],
    columns: Sequence[slice],
    margin: int,
    border: int = 0,
    size: tuple[int, int] | None = None,
) -> Iterator[Window]:
    """Yields a window for each of the kept ``rows`` and ``columns``, row by row.

    A window reads ``margin`` positions more on every side than it keeps, where there are so many. ``size``
    is the number of rows and columns; None means up to the last ones that are kept. The input may have
    ``border`` positions more on every side than the result: ``read`` counts from the corner of the input.
    """
    height, width = size or (rows[-1].stop, columns[-1].stop)
    across = [_tile_margins(part, width, margin, border) for part in columns]
    down = [_tile_margins(part, height, margin, border) for part in rows]
    for vertical, horizontal in product(down, across):
        yield Window(*zip(vertical, horizontal, strict=True))


def _tile_margins(kept: slice, size: int, margin: int, border: int) -> tuple[slice, slice, slice]:
    """Returns (read, kept, inner) along an axis of ``size`` positions."""
    start, stop = kept.start + border, kept.stop + border
    read = slice(max(start - margin, 0), min(stop + margin, size + 2 * border))
    return read, kept, slice(start - read.start, stop - read.start)
