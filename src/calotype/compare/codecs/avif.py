"""AVIF at a slow speed."""

from __future__ import annotations

from calotype.compare.codecs.pillow import PillowCodec

__all__ = ["avif"]


def avif(speed: int = 2) -> PillowCodec:
    """Returns AVIF (libaom); the number of threads is fixed because the file depends on it."""
    return PillowCodec("AVIF", ".avif", "AVIF", "image/avif", {"speed": speed, "max_threads": 2})
