"""The coding passes that the encoder makes for one picture: how many it may make, and what they measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Passes"]


@dataclass
class Passes:
    """The coding passes that are ``left`` for a picture, of which some are ``reserved`` for a later stage.

    A stage leaves out what takes more passes than it may make. Only if no file met the target size are there
    more. ``sizes`` are the ideal code lengths in bytes at each level, for latents of each shape.
    """

    left: int
    reserved: int = 0
    sizes: dict[tuple[int, ...], dict[int, float]] = field(default_factory=dict)

    def allow(self, count: int) -> bool:
        """Returns whether the present stage may make ``count`` passes."""
        return self.left - self.reserved >= count

    def spend(self) -> None:
        """Counts one pass."""
        self.left -= 1

    def remember(self, shape: tuple[int, ...], level: int, size: float) -> None:
        """Notes the size in bytes of latents of a shape at a level, with the nominal multiplier."""
        self.sizes.setdefault(shape, {})[level] = size

    def level_between(self, shape: tuple[int, ...], size: float) -> float | None:
        """Returns the level of a size by interpolation; None if it was not measured on both sides of it."""
        sizes = self.sizes.get(shape, {})
        finer = [level for level, known in sizes.items() if known > size]
        coarser = [level for level, known in sizes.items() if 0 < known <= size]
        if not finer or not coarser or max(finer) >= min(coarser):
            return None
        fine, coarse = max(finer), min(coarser)
        fraction = math.log(sizes[fine] / size) / math.log(sizes[fine] / sizes[coarse])
        return fine + fraction * (coarse - fine)
