"""JPEG XL, through Pillow's plugin."""

from __future__ import annotations

from calotype.compare.codecs.pillow import PillowCodec

__all__ = ["jpeg_xl"]


def jpeg_xl() -> PillowCodec:
    """JPEG XL (libjxl) at effort 7."""
    return PillowCodec("JPEG XL", ".jxl", "JXL", "image/jxl", {"effort": 7}, plugin="pillow_jxl")
