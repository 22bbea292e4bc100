"""Connected parts of a plane of cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["connected_parts"]


def connected_parts(cells: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Returns rows and columns, each int64[n], of every set of ``cells`` bool[h, w] that share sides.

    The sets, and the cells of each, are in the order of rows. Runs of cells in one row are joined with those
    of the row below by the union-find algorithm.
    """
    width = cells.shape[1] + 1
    edges = np.diff(np.pad(cells, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    begins, ends = (np.flatnonzero(edges == sign) for sign in (1, -1))  # of runs, in rows of ``width``
    first_below = np.searchsorted(ends, begins + width, "right")
    last_below = np.searchsorted(begins, ends + width, "left")
    root = np.arange(len(begins)).tolist()

    def root_of(run: int) -> int:
        while root[run] != run:
            root[run] = run = root[root[run]]
        return run

    for run, (first, last) in enumerate(zip(first_below.tolist(), last_below.tolist(), strict=True)):
        for below in range(first, last):
            one, other = sorted((root_of(run), root_of(below)))
            root[other] = one
    part_of_run = np.array([root_of(run) for run in range(len(root))], np.int64)
    rows, columns = np.nonzero(cells)
    part_of_cell = part_of_run.repeat(ends - begins)
    order = np.argsort(part_of_cell, kind="stable")
    borders = np.flatnonzero(np.diff(part_of_cell[order])) + 1
    if not len(order):
        return []
    return list(zip(np.split(rows[order], borders), np.split(columns[order], borders), strict=True))
