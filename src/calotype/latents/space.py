"""Latent spaces by permanent id. A file names the space of its integers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SD1", "SPACES", "LatentSpace"]


@dataclass(frozen=True)
class LatentSpace:
    """A space of latents float32[channels, H / factor, W / factor], which are multiplied by ``scaling``."""

    id: int
    name: str
    channels: int
    factor: int
    scaling: float


SD1 = LatentSpace(id=1, name="sd1", channels=4, factor=8, scaling=0.18215)
"""The space of Stable Diffusion 1.x. Its latents have about unit variance and range from about -4 to 4."""

SPACES = {space.id: space for space in (SD1,)}
