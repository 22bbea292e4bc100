from __future__ import annotations

import numpy as np
import pytest

from calotype.connected import connected_parts


def test_parts_share_sides_not_corners() -> None:
    cells = np.array([[1, 1, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 1, 1, 1]], bool)
    parts = [[*zip(rows.tolist(), columns.tolist(), strict=True)] for rows, columns in connected_parts(cells)]
    assert parts == [[(0, 0), (0, 1)], [(0, 4), (1, 2), (1, 4), (2, 2), (2, 3), (2, 4)]]


def test_the_last_cell_of_a_row_and_the_first_of_the_next_are_no_neighbours() -> None:
    assert len(connected_parts(np.array([[0, 1], [1, 0]], bool))) == 2


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 2)])
def test_nothing_has_no_parts(shape: tuple[int, int]) -> None:
    assert connected_parts(np.zeros(shape, bool)) == []


@pytest.mark.parametrize("seed", range(8))
def test_every_cell_is_in_one_part_and_neighbours_are_in_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.random((17, 23)) < 0.6
    part_of = np.full(cells.shape, -1)
    for number, (rows, columns) in enumerate(connected_parts(cells)):
        assert (part_of[rows, columns] == -1).all()
        part_of[rows, columns] = number
    assert np.array_equal(part_of >= 0, cells)
    for first, second in ((part_of[:-1], part_of[1:]), (part_of[:, :-1], part_of[:, 1:])):
        both = (first >= 0) & (second >= 0)
        assert np.array_equal(first[both], second[both])


def test_a_spiral_is_one_part() -> None:
    spiral = np.array(
        [[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool
    )
    assert len(connected_parts(spiral)) == 1
