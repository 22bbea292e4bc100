"""Lossy WebP at its slowest method."""

from __future__ import annotations

from calotype.compare.codecs.pillow import PillowCodec

__all__ = ["webp"]


def webp() -> PillowCodec:
    """Returns WebP (libwebp) with method 6. Small files need fractions of a quality."""
    return PillowCodec("WebP", ".webp", "WEBP", "image/webp", {"method": 6}, fineness=10)
