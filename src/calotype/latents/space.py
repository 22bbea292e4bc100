"""Latent spaces by permanent id. A file names the space its integers live in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SD1", "SPACES", "LatentSpace"]


@dataclass(frozen=True)
class LatentSpace:
    """``latents: float32[channels, H / factor, W / factor]``, already multiplied by ``scaling``."""

    id: int
    name: str
    channels: int
    factor: int
    scaling: float


SD1 = LatentSpace(id=1, name="sd1", channels=4, factor=8, scaling=0.18215)
"""Stable Diffusion 1.x: roughly unit variance, about -4 to 4."""

SPACES = {space.id: space for space in (SD1,)}
