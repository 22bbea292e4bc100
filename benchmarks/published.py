"""Published results of other codecs on Kodak pictures, which the plots show as marks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Point"]


@dataclass(frozen=True)
class Point:
    """The result of a codec at ``bpp`` bits per pixel; ``lpips_alex`` is LPIPS with AlexNet."""

    codec: str
    bpp: float
    lpips_alex: float
    dists: float


PUBLISHED = (
    Point("CoD-Lite", 0.031, 0.162, 0.112),
    Point("CoD-Lite", 0.125, 0.096, 0.071),
    Point("MS-ILLM", 0.0447, 0.1576, 0.1344),
    Point("MS-ILLM", 0.0809, 0.1099, 0.1089),
    Point("MS-ILLM", 0.1535, 0.0732, 0.0809),
)
"""Those of CoD-Lite are read from its charts and are for square crops; those of MS-ILLM are for whole
pictures."""
