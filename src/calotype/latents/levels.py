"""The levels of the quantiser as numbers, without numpy: steps, and levels of qualities and errors."""

from __future__ import annotations

import math

__all__ = ["COARSEST", "FINEST", "level_of_quality", "level_of_rounding_error", "step_of_level"]

FINEST, COARSEST = 8, 104
"""The levels that encoders use; a file may have any from 0 to 127."""


def step_of_level(level: int) -> float:
    """Returns the nominal step of a level, in scaled-latent units."""
    return float(2.0 ** (level / 16 - 5))


def level_of_quality(quality: float) -> int:
    """Converts quality 0 to 100 to a level: from 104 (step 2.8) to 8 (step 0.044)."""
    return round(COARSEST - (COARSEST - FINEST) * quality / 100)


def level_of_rounding_error(deviation: float) -> int:
    """Returns the level, 0 to 127, at which rounding causes an error of this standard deviation."""
    step = math.sqrt(12) * max(deviation, step_of_level(0) / math.sqrt(12))
    return min(round(16 * (math.log2(step) + 5)), 127)
