"""Limits on pictures and files, checked before memory is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.arguments import check_fields
from calotype.errors import LimitError

__all__ = ["ANY_SIZE", "MAX_SIDE", "Limits"]

MAX_SIDE = 16_384
"""Longest side, in pixels, that format version 1 can describe."""


@dataclass(frozen=True)
class Limits:
    """Bounds on untrusted input, checked against headers before allocation.

    The default of ``max_pixels`` is the number at which Pillow refuses a decompression bomb. ``max_packets``
    is the largest number of packets that a receiver keeps, of all files together; a packet has at most 1,400
    bytes. Raises ``TypeError``.
    """

    max_pixels: int = 178_956_970
    max_side: int = MAX_SIDE
    max_chunks: int = 64
    max_chunk_bytes: int = 1 << 26
    max_metadata_bytes: int = 1 << 24
    max_packets: int = 1 << 14

    def __post_init__(self) -> None:
        check_fields(self)

    def check_size(self, width: int, height: int) -> None:
        """Raises :class:`LimitError` if a picture of ``width`` x ``height`` pixels is too large."""
        side = min(self.max_side, MAX_SIDE)
        if width > side or height > side:
            raise LimitError(f"{width}x{height} pixels: the longest side allowed is {side}")
        if width * height > self.max_pixels:
            raise LimitError(
                f"{width}x{height} pixels: at most {self.max_pixels} are allowed "
                "(max_pixels sets a higher limit)"
            )


ANY_SIZE = Limits(max_pixels=MAX_SIDE**2)
"""For pictures that were within their limits when they were read, and for files made of them."""
