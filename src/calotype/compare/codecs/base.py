"""The interface of compared codecs: the best file within a budget of bytes, and its picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calotype.errors import SourceError
from calotype.imaging.source import open_picture_source
from calotype.limits import ANY_SIZE

__all__ = ["Codec", "Coded", "UncodableError", "decode_with_pillow", "largest_file_within"]


class UncodableError(SourceError):
    """The codec cannot code this picture; the message names the codec and the reason."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A compressed picture: the whole file, its decoded pixels uint8[H, W, 3], and whether it fits the
    budget."""

    data: bytes
    rgb: NDArray[np.uint8]
    fits: bool

    @property
    def size(self) -> int:
        """Returns the size of the whole file in bytes."""
        return len(self.data)


class Codec(Protocol):
    """A codec to compare. Its constructor raises :class:`ModelError` if it cannot run here."""

    @property
    def title(self) -> str:
        """Returns the usual name of the codec."""
        ...

    @property
    def suffix(self) -> str:
        """Returns the extension of its files, with the dot."""
        ...

    def compress(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[Coded]:
        """Compresses ``rgb``, uint8[H, W, 3] in sRGB, within each of ``budgets`` (bytes of the whole file).

        If the smallest file is larger than a budget, it is returned with ``fits`` False.
        Raises :class:`UncodableError`.
        """
        ...


def largest_file_within(
    encode: Callable[[int], bytes], budget: int, lowest: int, highest: int
) -> tuple[bytes, bool]:
    """Searches for the largest quality from ``lowest`` to ``highest`` whose file has at most ``budget``
    bytes.

    It is a binary search, which finds a file that fits even if sizes do not rise monotonically. If no tried
    quality fits, it returns the file of the lowest quality, and False.
    """
    best = None
    low, high = lowest, highest
    while low <= high:
        middle = (low + high) // 2
        data = encode(middle)
        if len(data) <= budget:
            best, low = data, middle + 1
        else:
            high = middle - 1
    return (encode(lowest), False) if best is None else (best, True)


def decode_with_pillow(data: bytes) -> NDArray[np.uint8]:
    """Returns the pixels uint8[H, W, 3] of a picture file that Pillow reads, whatever its size."""
    with open_picture_source(io.BytesIO(data), ANY_SIZE) as (image, _):
        return np.asarray(image.convert("RGB"))
