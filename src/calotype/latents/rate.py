"""Rate control: from a target in bytes to a level and a rate-distortion strength.

The level sets the scale (a step of 4.4 %, about 2.5 % of the bytes); the strength closes the gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import ContextModel, Walked, walk
from calotype.errors import TargetSizeError
from calotype.latents.quantiser import COARSEST, FINEST, LEVEL_OFFSETS, STEPS, level_map, step_of
from calotype.latents.rdo import CASCADES, Cascade, Chooser

__all__ = ["Draft", "Drafter", "fit_size"]

_STRONGEST = 1.0
_FADED, _FADING = 96, 24
_CLOSE = 0.01  # a draft this much below the target is good enough
_LEVEL_DRAFTS, _STRENGTH_DRAFTS = 5, 6
# First guesses, from the mean of the validation photos: bytes per latent position at a level, and the
# logarithmic slopes of the size in the level and (at the first level, e-fold every so many) the strength.
_FIRST_LEVEL, _FIRST_RATE, _SLOPE = 56, 1.15, -0.024
_STRENGTH_SLOPE, _STRENGTH_FOLD = -0.2, 12


@dataclass(frozen=True)
class Draft:
    """Latents quantised and modelled at ``level``; ``payload()`` is made when it is wanted.

    ``bits`` is the ideal code length, ``error`` the squared error with the channels weighed as their steps.
    """

    level: int
    strength: float
    walked: Walked
    bits: float
    error: float
    payload: Callable[[], bytes]

    @property
    def integers(self) -> NDArray[np.int16]:
        """int16[4, h, w]."""
        return self.walked.integers


class Drafter:
    """Quantises one picture's latents (float32[4, h, w]) as often as rate control asks."""

    def __init__(
        self,
        latents: NDArray[np.float32],
        model: ContextModel,
        strength: float,
        cascade: Cascade = CASCADES[0],
        feedback: float = 0.0,
        finer: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """``strength`` is the nominal rate-distortion strength; with ``feedback`` 0 too, all is rounded.

        ``finer`` int[h, w] is by how many levels each position is finer than the draft's; None: all alike.
        """
        self.latents, self.model, self.strength, self.cascade = latents, model, strength, cascade
        self.feedback = feedback
        self.finer = np.zeros(latents.shape[1:], np.int64) if finer is None else finer

    def nominal(self, level: int) -> float:
        """The strength used at a level unless rate control asks for another.

        It fades out where most integers are zero: there greedy decisions starve the context of those
        that follow, and the picture with it.
        """
        return self.strength * min(max((_FADED - level) / _FADING, 0.0), 1.0)

    def draft(self, level: int, strength: float | None = None) -> Draft:
        """One walk over the lattice at a level (0..127)."""
        strength = self.nominal(level) if strength is None else strength
        levels = level_map(level, self.finer)
        chooser = Chooser(self.latents, self.model.tables, strength, self.cascade, self.feedback)
        walked = walk(self.model, levels, STEPS, LEVEL_OFFSETS, chooser)
        error = chooser.error * step_of(level) ** 2
        return Draft(level, strength, walked, chooser.bits, error, chooser.stream.finish)


def fit_size(
    drafter: Drafter, target: int, overhead: Callable[[int], int], first: int | None = None
) -> tuple[Draft, bytes]:
    """The best draft whose whole file has at most ``target`` bytes, and its payload.

    ``overhead(payload_size)`` is what the rest of the file takes; ``first`` is a level that is thought to be
    near, if one is known. Raises :class:`TargetSizeError` with the
    smallest possible size if even the coarsest level is too large.
    """
    return _Search(drafter, target, overhead, first).run()


class _Search:
    def __init__(
        self, drafter: Drafter, target: int, overhead: Callable[[int], int], first: int | None
    ) -> None:
        self._drafter, self._target, self._overhead, self._first = drafter, target, overhead, first
        self._best: tuple[int, Draft, bytes] | None = None

    def run(self) -> tuple[Draft, bytes]:
        """The level whose size is nearest, then the strength that fills what is left."""
        level, size = self._nearest_level()
        if level > FINEST or size > self._target:
            self._trim(level, size)
        jump = 1
        while self._best is None and level < COARSEST:
            level = min(level + jump, COARSEST)
            self._try(level)
            jump *= 2
        if self._best is None:
            size = self._try(COARSEST, _STRONGEST)
        if self._best is None:
            raise TargetSizeError(self._target, size)
        return self._best[1:]

    def _try(self, level: int, strength: float | None = None) -> int:
        """Whole-file bytes of one draft; the largest that fits is kept."""
        draft = self._drafter.draft(level, strength)
        payload = draft.payload()
        size = len(payload) + self._overhead(len(payload))
        if size <= self._target and (self._best is None or size > self._best[0]):
            self._best = size, draft, payload
        return size

    def _close_enough(self) -> bool:
        return self._best is not None and self._best[0] >= self._target * (1 - _CLOSE)

    def _nearest_level(self) -> tuple[int, int]:
        """(level, size) with the size nearest to the target at the nominal strength.

        Without rate-distortion optimisation the strength can only be raised: the level then must not be
        too coarse.
        """
        per_position = self._target / self._drafter.latents[0].size
        guess = _FIRST_LEVEL + math.log(per_position / _FIRST_RATE) / _SLOPE
        level = self._clamp(guess if self._first is None else self._first)
        finest, coarsest, slope = FINEST, COARSEST, _SLOPE
        seen: dict[int, int] = {}
        for _ in range(_LEVEL_DRAFTS):
            size = seen[level] = self._try(level)
            if self._close_enough() or (level == FINEST and size <= self._target):
                break
            if len(seen) > 1:
                (a, size_a), (b, size_b) = list(seen.items())[-2:]
                slope = min((math.log(size_b) - math.log(size_a)) / (b - a), -0.008)
            if size > self._target:
                finest = min(level + 1, COARSEST)
            else:
                coarsest = max(level - 1, FINEST)
            wish = level + math.log(self._target / size) / slope
            level = round(wish if self._drafter.strength else wish - 0.5)
            level = min(max(level, finest), max(coarsest, finest))
            if level in seen:
                break
        nearest = min(seen, key=lambda at: abs(math.log(seen[at] / self._target)))
        return nearest, seen[nearest]

    @staticmethod
    def _clamp(level: float) -> int:
        return min(max(round(level), FINEST), COARSEST)

    def _trim(self, level: int, size: int) -> None:
        """Regula falsi on the strength at one level, within the bracket once there is one."""
        goal = math.log(self._target * (1 - _CLOSE / 3))
        at, value = self._drafter.nominal(level), math.log(size) - goal
        slope = _STRENGTH_SLOPE * math.exp((level - _FIRST_LEVEL) / _STRENGTH_FOLD)
        low, high = 0.0, _STRONGEST
        for _ in range(_STRENGTH_DRAFTS):
            if self._close_enough():
                return
            low, high = (at, high) if value > 0 else (low, at)
            inset = 0.1 * (high - low) if high < _STRONGEST else 0.0
            strength = min(max(at - value / slope, low + inset), high - inset)
            if strength == at:
                return
            next_value = math.log(self._try(level, strength)) - goal
            if next_value != value:
                slope = min((next_value - value) / (strength - at), -0.05)
            at, value = strength, next_value
