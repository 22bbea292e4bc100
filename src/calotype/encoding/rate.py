"""Rate control: from a target size in bytes to a level and a Lagrangian multiplier.

The level is the coarse adjustment: one level changes the step by 4.4 % and the size by about 2.5 %. The
multiplier is the fine adjustment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, Header, serialise_file
from calotype.encoding.rdo import CASCADES, Cascade, RdoQuantiser
from calotype.entropy import CodingPass, ContextModel, PassResult, SymbolEncoder
from calotype.errors import TargetSizeError
from calotype.latents import CHANNEL_OFFSETS, COARSEST, FINEST, STEPS, level_map, step_of_level

__all__ = ["SizeTarget", "Trial", "TrialEncoder", "search_target_size"]

_MAX_LAMBDA = 1.0
"""The largest multiplier. With a larger one the distortion is worse than at a coarser level."""

_NO_RDO_LEVEL, _RDO_RAMP_LEVELS = 96, 24
"""The level from which on the multiplier is 0, and the number of levels over which it falls to 0 before."""

_TOLERANCE = 0.01
"""The search ends when a trial is at most this share below the target."""

_MAX_LEVEL_TRIALS, _MAX_LAMBDA_TRIALS = 5, 6

# First guesses, from means over held-out photographs. At level 56 a latent position takes 1.15 bytes. The
# logarithm of the size changes by -0.024 per level. Its slope in the multiplier is -0.2 at level 56 and grows
# by a factor of e every 12 levels.
_FIRST_LEVEL, _FIRST_RATE, _SLOPE = 56, 1.15, -0.024
_LAMBDA_SLOPE, _LAMBDA_FOLD = -0.2, 12


@dataclass(frozen=True)
class SizeTarget:
    """The target of a search: at most ``size`` bytes for a whole file with this header and these chunks."""

    size: int
    header: Header
    chunks: tuple[Chunk, ...]

    def file_size(self, payload_size: int) -> int:
        """Returns the size of the file with a payload of ``payload_size`` bytes."""
        return len(serialise_file(self.header, bytes(payload_size), 0, self.chunks))

    def allows(self, payload_size: int) -> bool:
        """Returns whether the file with a payload of ``payload_size`` bytes is within the target."""
        return self.file_size(payload_size) <= self.size


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial encode: latents quantised and modelled at ``level`` with the multiplier ``lambda_``.

    ``bits`` is the ideal code length. ``error`` is the squared error, in which channels are weighted by their
    steps. ``symbols`` are those of the integers, in coding order.
    """

    level: int
    lambda_: float
    coded: PassResult
    bits: float
    error: float
    symbols: SymbolEncoder

    @property
    def integers(self) -> NDArray[np.int16]:
        """int16[4, h, w]."""
        return self.coded.integers

    def payload(self) -> bytes:
        """Runs the entropy coder and returns the payload."""
        return self.symbols.finish()


class TrialEncoder:
    """Makes trial encodes of one picture's latents float32[4, h, w], at any level and multiplier."""

    def __init__(
        self,
        latents: NDArray[np.float32],
        model: ContextModel,
        lambda_: float,
        cascade: Cascade = CASCADES[0],
        error_diffusion: float = 0.0,
        refinement: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """``lambda_`` is the nominal Lagrangian multiplier; if it and ``error_diffusion`` are 0, latents are
        rounded to the nearest step.

        ``refinement`` int[h, w] is the level offset of each position: the trial's level minus its own. None
        means 0 everywhere.
        """
        self.latents, self.model, self.lambda_, self.cascade = latents, model, lambda_, cascade
        self.error_diffusion = error_diffusion
        self.refinement = np.zeros(latents.shape[1:], np.int64) if refinement is None else refinement

    def nominal(self, level: int) -> float:
        """Returns the multiplier at a level, unless rate control sets another.

        It falls to 0 at coarse levels, where most integers are zero. There the greedy choices of the
        quantiser would remove the context of later integers, and with it the content of the picture.
        """
        return self.lambda_ * min(max((_NO_RDO_LEVEL - level) / _RDO_RAMP_LEVELS, 0.0), 1.0)

    def trial(self, level: int, lambda_: float | None = None) -> Trial:
        """Runs one coding pass at a level (0..127)."""
        lambda_ = self.nominal(level) if lambda_ is None else lambda_
        levels = level_map(level, self.refinement)
        quantiser = RdoQuantiser(self.latents, self.model.tables, lambda_, self.cascade, self.error_diffusion)
        coding = CodingPass(self.model, levels, STEPS, CHANNEL_OFFSETS)
        while coding.prediction is not None:
            coding.advance(quantiser.quantise(coding.prediction))
        error = quantiser.error * step_of_level(level) ** 2
        return Trial(level, lambda_, coding.result, quantiser.bits, error, quantiser.symbols)


def search_target_size(
    encoder: TrialEncoder, target: SizeTarget, first_level: int | None = None
) -> tuple[Trial, bytes]:
    """Returns the best trial whose whole file is within ``target``, and its payload.

    ``first_level`` is the level at which the search starts; None estimates it. Raises
    :class:`TargetSizeError` with the smallest possible size if even the coarsest level takes more bytes.
    """
    return _TargetSizeSearch(encoder, target, first_level).run()


class _TargetSizeSearch:
    def __init__(self, encoder: TrialEncoder, target: SizeTarget, first_level: int | None) -> None:
        self._encoder, self._file, self._target = encoder, target, target.size
        self._first_level = first_level
        self._best: tuple[int, Trial, bytes] | None = None

    def run(self) -> tuple[Trial, bytes]:
        """Searches for the level whose size is nearest, then for the multiplier that meets the target."""
        level, size = self._nearest_level()
        if level > FINEST or size > self._target:
            self._trim(level, size)
        jump = 1
        while self._best is None and level < COARSEST:
            level = min(level + jump, COARSEST)
            self._try(level)
            jump *= 2
        if self._best is None:
            size = self._try(COARSEST, _MAX_LAMBDA)
        if self._best is None:
            raise TargetSizeError(self._target, size)
        return self._best[1:]

    def _try(self, level: int, lambda_: float | None = None) -> int:
        """Returns the whole-file size of one trial in bytes, and keeps the largest trial that fits."""
        trial = self._encoder.trial(level, lambda_)
        payload = trial.payload()
        size = self._file.file_size(len(payload))
        if size <= self._target and (self._best is None or size > self._best[0]):
            self._best = size, trial, payload
        return size

    def _close_enough(self) -> bool:
        return self._best is not None and self._best[0] >= self._target * (1 - _TOLERANCE)

    def _nearest_level(self) -> tuple[int, int]:
        """Returns (level, size) with the size nearest to the target at the nominal multiplier.

        Without rate-distortion optimisation the multiplier starts at 0 and can only be raised, so that the
        level must not be too coarse.
        """
        per_position = self._target / self._encoder.latents[0].size
        guess = _FIRST_LEVEL + math.log(per_position / _FIRST_RATE) / _SLOPE
        level = self._clamp(guess if self._first_level is None else self._first_level)
        finest, coarsest, slope = FINEST, COARSEST, _SLOPE
        sizes: dict[int, int] = {}
        for _ in range(_MAX_LEVEL_TRIALS):
            size = sizes[level] = self._try(level)
            if self._close_enough() or (level == FINEST and size <= self._target):
                break
            if len(sizes) > 1:
                (a, size_a), (b, size_b) = list(sizes.items())[-2:]
                slope = min((math.log(size_b) - math.log(size_a)) / (b - a), -0.008)
            if size > self._target:
                finest = min(level + 1, COARSEST)
            else:
                coarsest = max(level - 1, FINEST)
            estimate = level + math.log(self._target / size) / slope
            level = round(estimate if self._encoder.lambda_ else estimate - 0.5)
            level = min(max(level, finest), max(coarsest, finest))
            if level in sizes:
                break
        nearest = min(sizes, key=lambda tried_level: abs(math.log(sizes[tried_level] / self._target)))
        return nearest, sizes[nearest]

    @staticmethod
    def _clamp(level: float) -> int:
        return min(max(round(level), FINEST), COARSEST)

    def _trim(self, level: int, size: int) -> None:
        """Searches for the multiplier at one level by the secant method, in a bracket once there is one."""
        goal = math.log(self._target * (1 - _TOLERANCE / 3))
        lambda_now, value = self._encoder.nominal(level), math.log(size) - goal
        slope = _LAMBDA_SLOPE * math.exp((level - _FIRST_LEVEL) / _LAMBDA_FOLD)
        low, high = 0.0, _MAX_LAMBDA
        for _ in range(_MAX_LAMBDA_TRIALS):
            if self._close_enough():
                return
            low, high = (lambda_now, high) if value > 0 else (low, lambda_now)
            inset = 0.1 * (high - low) if high < _MAX_LAMBDA else 0.0
            lambda_ = min(max(lambda_now - value / slope, low + inset), high - inset)
            if lambda_ == lambda_now:
                return
            next_value = math.log(self._try(level, lambda_)) - goal
            if next_value != value:
                slope = min((next_value - value) / (lambda_ - lambda_now), -0.05)
            lambda_now, value = lambda_, next_value
