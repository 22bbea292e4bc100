"""The size of a WebP file, from its first bytes.

Pillow's WebP reader allocates the canvas as soon as it is opened; so untrusted sizes are checked here.
"""

from __future__ import annotations

__all__ = ["PREFIX", "lossless_webp_size", "webp_size"]

PREFIX = 30
"""The number of bytes at the start of a file that hold its size."""


def lossless_webp_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) if ``data`` starts a file of one lossless picture only, else None."""
    if len(data) < 25 or data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8L" or data[20] != 0x2F:
        return None
    bits = int.from_bytes(data[21:25], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) of the WebP file that starts with ``data``, or None if it is no WebP file."""
    if len(data) < PREFIX or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return lossless_webp_size(data)
