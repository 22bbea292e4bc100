"""Reconstruction: from the integers of a file to latents for a decoder network.

The integer of a latent defines an interval, and its dequantised value is the centre of that interval. The
context model also predicts the distribution of the latent. The mean of this distribution within the interval
is the estimate with the smallest squared error (conditional-mean or MMSE reconstruction). Both estimates come
from the same integers; a decoder network receives both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import MissingIntegers, PassResult
from calotype.entropy.tables import ESCAPE, MAX_RESIDUAL, MEAN_UNIT_BITS, PHASES, SIGMAS, SYMBOLS
from calotype.latents.quantiser import channel_steps, dequantise

__all__ = ["Reconstruction", "conditional_mean_offsets", "reconstruct_latents"]

_OFFSET_UNIT_BITS = 8
"""Offsets are integers in units of 2**-8 of a step."""

_NODES = 64
"""Number of points of the quadrature over one step."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The reconstruction of the integers of a file.

    ``latents`` float32[4, h, w] are the integers times their steps, ``levels`` int64[h, w] their levels.
    ``conditional_mean`` float32[4, h, w] is the mean of all latents that are rounded to these integers,
    weighted by their predicted probability. It is within half a step of ``latents``, and nearer to the true
    values on average. Where integers are ``missing``, both are the mean that the context model predicts.
    """

    latents: NDArray[np.float32]
    levels: NDArray[np.int64]
    conditional_mean: NDArray[np.float32]
    missing: MissingIntegers | None = None

    def subsampled(self, spacing: int) -> Reconstruction:
        """Returns views of the rows and columns that are multiples of ``spacing``."""
        positions = (..., slice(None, None, spacing), slice(None, None, spacing))
        missing = None if self.missing is None else self.missing.subsampled(spacing)
        return Reconstruction(
            self.latents[positions], self.levels[positions], self.conditional_mean[positions], missing
        )


def reconstruct_latents(result: PassResult, levels: NDArray[np.int64]) -> Reconstruction:
    """Reconstructs the integers of a coding pass at ``levels`` int64[h, w]."""
    mean_in_steps = result.integers + conditional_mean_offsets(result.table_indices, result.interval_symbols)
    conditional_mean = (mean_in_steps * channel_steps(levels)).astype(np.float32)
    latents, missing = dequantise(result.integers, levels), result.missing
    if missing is not None:
        predicted = missing.mean * np.float32(2.0**-MEAN_UNIT_BITS)
        latents, conditional_mean = (
            np.where(missing.mask, predicted, arrived) for arrived in (latents, conditional_mean)
        )
    return Reconstruction(latents, levels, conditional_mean, missing)


def conditional_mean_offsets(
    table_indices: NDArray[np.integer], interval_symbols: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Returns the offsets of the conditional means from the integers, in steps: float64.

    The arguments and the result have one shape. They are those of :class:`calotype.entropy.PassResult`. The
    offset is 0 where the symbol is the escape.
    """
    offsets: NDArray[np.float64] = (
        _conditional_mean_offset_table()[table_indices, interval_symbols] * 2.0**-_OFFSET_UNIT_BITS
    )
    return offsets


@cache
def _conditional_mean_offset_table() -> NDArray[np.int8]:
    """Returns the conditional-mean offsets int8[49 * 16, 42] by table and symbol, in 2**-8 steps."""
    sigma = np.exp2((np.arange(SIGMAS) + 0.5) / 8 - 4).reshape(-1, 1, 1, 1)
    mean = (np.arange(PHASES) / PHASES - 0.5).reshape(-1, 1, 1)
    position = (np.arange(_NODES) + 0.5) / _NODES - 0.5
    distance = np.arange(-MAX_RESIDUAL, MAX_RESIDUAL + 1).reshape(-1, 1) + position - mean
    exponent = -0.5 * (distance / sigma) ** 2
    weight = np.exp(exponent - exponent.max(-1, keepdims=True))  # far out the sum of exp() alone would be 0
    offset = np.rint((weight * position).sum(-1) / weight.sum(-1) * (1 << _OFFSET_UNIT_BITS))
    table = np.zeros((SIGMAS, PHASES, SYMBOLS), np.int8)  # an escape has no interval
    table[..., :ESCAPE] = offset
    return table.reshape(-1, SYMBOLS)
