"""JPEG: optimised Huffman tables, progressive, 4:2:0."""

from __future__ import annotations

from calotype.compare.codecs.pillow import PillowCodec

__all__ = ["jpeg"]


def jpeg() -> PillowCodec:
    """JPEG as Pillow's libjpeg-turbo writes it; quality 0 is taken for "not given", so the lowest is 1."""
    settings = {"optimize": True, "progressive": True, "subsampling": "4:2:0"}
    return PillowCodec("JPEG", ".jpg", "JPEG", "image/jpeg", settings, lowest=1)
