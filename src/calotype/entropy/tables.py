"""Frequency tables: from a predicted (mean, scale) to the table that codes a residual.

At a position with quantisation step ``D`` a prediction is quantised to four numbers:

* ``centre`` is the integer nearest to mean / D, in units of 2**fine steps;
* ``phase`` 0..15 is the remainder in sixteenths of that unit, plus 8;
* ``row`` is log2(sigma / D) in eighths of an octave, from -4 (row 0) to +2 octaves (row 48);
* ``fine`` is the number of low bits that are coded without a model: one for each doubling of sigma beyond
  four steps.

Table ``[row, phase]`` holds the cumulative frequencies of the residuals -20..20 and of an escape.
All of it is integer arithmetic: docs/format.md, "Frequency tables".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = [
    "MAX_RESIDUAL",
    "PHASES",
    "ROWS",
    "STEP_UNIT_BITS",
    "FrequencyTables",
    "QuantisedPrediction",
    "quantise_prediction",
]

ROWS, PHASES, MAX_RESIDUAL = 49, 16, 20
SYMBOLS = 2 * MAX_RESIDUAL + 2
ESCAPE = SYMBOLS - 1
FREQUENCY_BITS = 16
FREQUENCY_TOTAL = 1 << FREQUENCY_BITS

STEP_UNIT_BITS = 22
"""Steps are integers in units of 2**-22 of a scaled latent."""
MEAN_UNIT_BITS = 8
"""Predicted means are integers in units of 2**-8."""
SCALE_ORIGIN = 40
"""scale - level + 40 is 16 * (log2(sigma / step) + 4): scale s stands for sigma = 2**(s / 16 - 6.5), and
level l for a step of 2**(l / 16 - 5)."""

_STEP_BITS = STEP_UNIT_BITS - MEAN_UNIT_BITS


@dataclass(frozen=True)
class QuantisedPrediction:
    """The frequency tables that code the residuals of N positions; each field is int64[N]."""

    centre: NDArray[np.int64]
    table_index: NDArray[np.int64]  # row * 16 + phase
    fine: NDArray[np.int64]

    def symbols(self, integers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the symbol of each of ``integers`` int64[N]: the residual plus 20, or the escape."""
        residual = self.residuals(integers)
        return np.where(np.abs(residual) <= MAX_RESIDUAL, residual + MAX_RESIDUAL, ESCAPE)

    def mean_symbols(self, integers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns :meth:`symbols`, with the escape also where low bits are coded without a model.

        Such a symbol stands for several integers, so that it has no conditional mean within one step.
        """
        return np.where(self.fine > 0, ESCAPE, self.symbols(integers))

    def residuals(self, integers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns ``integers`` int64[N] without their ``fine`` low bits, minus the centre."""
        return (integers >> self.fine) - self.centre


def quantise_prediction(
    mean: NDArray[np.int64], scale: NDArray[np.int64], level: NDArray[np.int64], step: NDArray[np.int64]
) -> QuantisedPrediction:
    """Selects the frequency tables for the predictions of N positions.

    All arguments are int64[N]: ``mean`` in 2**-8 latents, ``scale`` 0..127, ``level`` the effective level
    (the channel's level offset included), ``step`` in 2**-22 latents.
    """
    sixteenths = ((mean << (_STEP_BITS + 4)) + (step >> 1)) // step
    row = np.maximum(scale - level + SCALE_ORIGIN, 0) >> 1
    fine = np.maximum(row - (ROWS - 1) + 7, 0) >> 3
    row = row - 8 * fine
    sixteenths = (sixteenths - 8 * ((1 << fine) - 1)) >> fine
    centre = (sixteenths + 8) >> 4
    return QuantisedPrediction(centre, row * PHASES + ((sixteenths + 8) & 15), fine)


class FrequencyTables:
    """The frequency tables uint16[49, 16, 42]: each sums to 2**16, and no frequency is zero."""

    def __init__(self, frequencies: NDArray[np.uint16]) -> None:
        """Raises :class:`ModelError` for anything but a valid set of tables."""
        table = np.asarray(frequencies, np.int64)
        if (
            table.shape != (ROWS, PHASES, SYMBOLS)
            or table.min() < 1
            or np.any(table.sum(-1) != FREQUENCY_TOTAL)
        ):
            raise ModelError("the frequency tables are damaged")
        self.frequencies = table.reshape(-1, SYMBOLS)
        self.starts = np.cumsum(self.frequencies, -1) - self.frequencies
        self.rows: list[list[int]] = [[*row, FREQUENCY_TOTAL] for row in self.starts.tolist()]
        self.bits = (FREQUENCY_BITS - np.log2(self.frequencies)).astype(np.float32)

    def cost(self, integers: NDArray[np.int64], quantised: QuantisedPrediction) -> NDArray[np.float32]:
        """Estimates the bits float32[N] that code ``integers`` int64[N], unmodelled bits included."""
        residual = quantised.residuals(integers)
        inside = np.abs(residual) <= MAX_RESIDUAL
        symbol = np.where(inside, residual + MAX_RESIDUAL, ESCAPE)
        extra = 6 + 2 * np.log2(np.maximum(np.abs(residual) - MAX_RESIDUAL, 1)).astype(np.float32)
        bits = self.bits[quantised.table_index, symbol] + np.where(inside, np.float32(0), extra)
        return (bits + quantised.fine).astype(np.float32)
