"""Rate control: from a target size in bytes to a level and a Lagrangian multiplier.

The level is the coarse adjustment: one level changes the step by 4.4 % and the size by about 2.5 %. The
multiplier of the last grid is the fine adjustment, which is made during the coding pass
(``encoding.bit_budget``). A known coding pass of the same picture, or of nearly the same latents, says at
which level the target will be met: one more pass is then enough for most pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.container import MAX_PAYLOAD_SIZE, Chunk, Header, file_size
from calotype.encoding.bit_budget import BitBudget
from calotype.encoding.rdo import CASCADES, Cascade, RdoQuantiser
from calotype.encoding.size_estimate import SizeEstimate
from calotype.entropy import CodingPass, ContextModel, PassResult, SymbolEncoder
from calotype.errors import TargetSizeError
from calotype.latents import CHANNEL_OFFSETS, COARSEST, FINEST, STEPS, level_map, step_of_level

__all__ = ["MIN_SHARE", "KnownPass", "SizeTarget", "Trial", "TrialEncoder", "search_target_size"]

_MAX_LAMBDA = 1.0
"""The largest multiplier. With a larger one the distortion is worse than at a coarser level."""

_NO_RDO_LEVEL, _RDO_RAMP_LEVELS = 96, 24
"""The level from which on the multiplier is 0, and the number of levels over which it falls to 0 before."""

MIN_SHARE = 0.98
"""The search ends with a file of at least this fraction of the target."""

_CODER_SHARE, _CODER_BYTES = 0.0003, 5
"""The overhead of the entropy coder: a fraction of the ideal code length, and bytes."""

_LEVEL_BIAS = 0.5
"""The fraction of a level, below 1, up to which the finer level is left for the coarser one."""

_MAX_CHANGE = 0.15
"""The largest change of the multiplier against the nominal one. At fine levels a larger one would do more
harm than a size 1 % below the target."""

_MAX_TRIALS = 10
"""The largest number of trials at levels. Most targets take one."""


@dataclass(frozen=True)
class SizeTarget:
    """The target of a search: at most ``size`` bytes for a whole file with this header and these chunks."""

    size: int
    header: Header
    chunks: tuple[Chunk, ...]

    def file_size(self, payload_size: int) -> int:
        """Returns the size of the file with a payload of ``payload_size`` bytes."""
        return file_size(self.header, payload_size, self.chunks)

    @property
    def goal(self) -> float:
        """The ideal code length, in bytes, at which a trial aims; at least 1."""
        largest = min(self.size, MAX_PAYLOAD_SIZE)
        payload = self.size - (self.file_size(largest) - largest)
        return max((payload - _CODER_BYTES) / (1 + _CODER_SHARE), 1.0)

    def allows(self, payload_size: int) -> bool:
        """Returns whether the file with a payload of ``payload_size`` bytes is within the target."""
        return self.file_size(payload_size) <= self.size


@dataclass(frozen=True)
class KnownPass:
    """The level of a coding pass of the same picture, and the bits of each of its predictions."""

    level: int
    prediction_bits: tuple[float, ...]

    @property
    def size(self) -> float:
        """The ideal code length in bytes."""
        return sum(self.prediction_bits) / 8


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial encode: latents quantised and modelled at ``level``; its nominal multiplier is ``lambda_``.

    ``prediction_bits`` are the ideal code lengths of the predictions. ``error`` is the squared error, in
    which channels are weighted by their steps. ``symbol_encoder`` has the symbols, in coding order.
    """

    level: int
    lambda_: float
    result: PassResult
    prediction_bits: tuple[float, ...]
    error: float
    symbol_encoder: SymbolEncoder

    @property
    def bits(self) -> float:
        """The ideal code length."""
        return sum(self.prediction_bits)

    @property
    def known(self) -> KnownPass:
        """What the next search may start with."""
        return KnownPass(self.level, self.prediction_bits)

    @property
    def integers(self) -> NDArray[np.int16]:
        """int16[4, h, w]."""
        return self.result.integers

    def payload(self) -> bytes:
        """Runs the entropy coder and returns the payload."""
        return self.symbol_encoder.finish()


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

    def trial(self, level: int, lambda_: float | None = None, budget: BitBudget | None = None) -> Trial:
        """Runs one coding pass at a level (0..127).

        ``lambda_`` replaces the nominal multiplier, and ``budget`` that of the last grid.
        """
        lambda_ = self.nominal(level) if lambda_ is None else lambda_
        levels = level_map(level, self.refinement)
        quantiser = RdoQuantiser(
            self.latents, self.model.tables, lambda_, self.cascade, self.error_diffusion, budget
        )
        coding = CodingPass(self.model, levels, STEPS, CHANNEL_OFFSETS)
        while coding.prediction is not None:
            coding.advance(quantiser.quantise(coding.prediction))
        error = quantiser.error * step_of_level(level) ** 2
        prediction_bits = tuple(quantiser.prediction_bits)
        return Trial(level, lambda_, coding.result, prediction_bits, error, quantiser.symbol_encoder)


def search_target_size(
    encoder: TrialEncoder, target: SizeTarget, known: KnownPass | None = None
) -> tuple[Trial, bytes]:
    """Returns the best trial whose whole file is within ``target``, and its payload.

    ``known`` is a coding pass of the same picture, by which the search starts; None makes one first. Raises
    :class:`TargetSizeError` with the smallest possible size if even the coarsest level takes more bytes.
    """
    return _TargetSizeSearch(encoder, target, known).run()


class _TargetSizeSearch:
    """The state of a search: the pass that it starts from, and the largest trial that fits."""

    def __init__(self, encoder: TrialEncoder, target: SizeTarget, known: KnownPass | None) -> None:
        self._encoder, self._file, self._target = encoder, target, target.size
        self._estimate = SizeEstimate(encoder.latents, encoder.refinement)
        self._best: tuple[int, Trial, bytes] | None = None
        self._known = self._first_pass() if known is None else known

    def run(self) -> tuple[Trial, bytes]:
        """Returns the largest trial that fits, and its payload."""
        if not self._close_enough():
            self._search_levels()
        if self._best is None:
            size = self._keep(self._encoder.trial(COARSEST, _MAX_LAMBDA))
        if self._best is None:
            raise TargetSizeError(self._target, size)
        return self._best[1:]

    def _first_pass(self) -> KnownPass:
        level = min(max(round(self._estimate.level(self._file.goal)), FINEST), COARSEST)
        trial = self._encoder.trial(level)
        self._keep(trial)
        return trial.known

    def _search_levels(self) -> None:
        """Tries levels, first the one that the known pass says, then levels between two others.

        If no level meets the target by a small change of the multiplier, the finest one that is too large
        gets a large change.
        """
        sizes = dict[int, float]()  # logarithms of the ideal code lengths in bytes, by level
        too_fine, too_coarse = FINEST - 1, COARSEST + 1
        level, goal = self._level_of_goal(), math.log(self._file.goal)
        for number in range(_MAX_TRIALS):
            size, sizes[level] = self._try(level, self._encoder.nominal(level) + _MAX_CHANGE)
            if self._close_enough() or (level == FINEST and size <= self._target):
                return
            if size > self._target:
                too_fine = level
            else:
                too_coarse = level
            if too_coarse - too_fine <= 1:
                break
            if too_fine in sizes and too_coarse in sizes:
                fraction = (sizes[too_fine] - goal) / max(sizes[too_fine] - sizes[too_coarse], 1e-9)
                fraction = 0.5 if number >= _MAX_TRIALS // 2 else fraction
                level = round(too_fine + fraction * (too_coarse - too_fine))
            else:
                levels = round((goal - sizes[level]) / self._estimate.slope(level))
                level += levels or (1 if size > self._target else -1)
            level = min(max(level, too_fine + 1), too_coarse - 1)
        self._try(max(too_fine, FINEST), _MAX_LAMBDA)

    def _level_of_goal(self) -> int:
        """Returns the level at which a pass takes little more than the goal, so that few bits are saved."""
        known = self._known
        level = self._estimate.level(self._file.goal, (known.level, known.size))
        bias = _LEVEL_BIAS if self._encoder.nominal(round(level)) else 0.0
        return min(max(math.floor(level + bias), FINEST), COARSEST)

    def _try(self, level: int, max_lambda: float) -> tuple[int, float]:
        """Returns the whole-file size of one trial in bytes, and the logarithm of its ideal code length."""
        budget = BitBudget(8 * self._file.goal, self._known.prediction_bits, max_lambda)
        trial = self._encoder.trial(level, budget=budget)
        return self._keep(trial), math.log(max(trial.bits / 8, 1e-3))

    def _keep(self, trial: Trial) -> int:
        """Returns the whole-file size of a trial in bytes, and keeps the largest trial that fits."""
        payload = trial.payload()
        size = self._file.file_size(len(payload))
        if size <= self._target and (self._best is None or size > self._best[0]):
            self._best = size, trial, payload
        return size

    def _close_enough(self) -> bool:
        return self._best is not None and self._best[0] >= self._target * MIN_SHARE
