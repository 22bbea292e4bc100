"""JPEG XL, through Pillow's plugin."""

from __future__ import annotations

from calotype.compare.codecs.pillow import PillowCodec

__all__ = ["jpeg_xl"]


def jpeg_xl() -> PillowCodec:
    """Returns JPEG XL (libjxl) at effort 7.

    Quality 100 is left out: it is the lossless mode, which the plugin does not request correctly.
    """
    return PillowCodec("JPEG XL", ".jxl", "JXL", "image/jxl", {"effort": 7}, highest=99, plugin="pillow_jxl")
