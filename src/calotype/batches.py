"""Batches of pictures and files that pass a network together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from calotype.arguments import check_type

__all__ = ["in_batches"]

_Item = TypeVar("_Item")


def in_batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yields lists of ``size`` items; the last one may be shorter.

    If ``items`` raises an error, the items before it make a shorter batch, and the error follows. Raises
    ``ValueError`` unless ``size``, the argument ``batch`` of the Python API, is positive.
    """
    check_type("batch", size, int)
    if size < 1:
        raise ValueError(f"batch (={size}) must be positive")
    batch: list[_Item] = []
    failure: Exception | None = None
    iterator = iter(items)
    while failure is None:
        try:
            batch.append(next(iterator))
        except StopIteration:
            break
        except Exception as error:
            failure = error
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
    if failure is not None:
        raise failure
