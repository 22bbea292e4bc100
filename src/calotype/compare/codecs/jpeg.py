"""JPEG: optimised Huffman tables, progressive, 4:2:0."""

from __future__ import annotations

from calotype.compare.codecs.pillow import PillowCodec

__all__ = ["jpeg"]


def jpeg() -> PillowCodec:
    """Returns JPEG by Pillow's libjpeg-turbo. Pillow takes quality 0 for "not given", so that the lowest
    one is 1.
    """
    settings = {"optimize": True, "progressive": True, "subsampling": "4:2:0"}
    return PillowCodec("JPEG", ".jpg", "JPEG", "image/jpeg", settings, lowest=1)
