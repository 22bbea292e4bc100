"""Batches of what passes a network together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calotype.batches import in_batches


def numbers_until(end: int) -> Iterator[int]:
    yield from range(end)
    raise OSError(f"no {end}")


@pytest.mark.parametrize(
    ("size", "wanted"), [(1, [[0], [1], [2], [3]]), (3, [[0, 1, 2], [3]]), (4, [[0, 1, 2, 3]])]
)
def test_batches_end_before_an_error(size: int, wanted: list[list[int]]) -> None:
    assert list(in_batches(range(4), size)) == wanted
    batches = in_batches(numbers_until(4), size)
    assert [next(batches) for _ in wanted] == wanted
    with pytest.raises(OSError, match="no 4"):
        next(batches)


def test_no_more_is_asked_for_than_a_batch_takes() -> None:
    numbers = iter(range(9))
    assert next(in_batches(numbers, 2)) == [0, 1]
    assert next(numbers) == 2


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="batch"):
        next(in_batches([1], 0))
