"""Frequency tables: from a predicted (mean, scale) to the table that codes a residual.

At a position with quantiser step ``D`` the prediction of an integer is quantised to four numbers:

* ``low_bits`` is how many low bits of the integer are bypass bits, which are coded without a model. It is 0
  while sigma is at most four steps, and then grows by 1 with each doubling of sigma. The tables below code
  the integer without these bits, so that their unit is 2**low_bits steps;
* ``centre`` is the integer nearest to the mean, in this unit;
* ``phase`` 0..15 is the mean minus the centre, in sixteenths of the unit, plus 8;
* ``sigma_index`` 0..48 stands for log2(sigma / unit) from -4 to 2 in eighths.

Table ``[sigma_index, phase]`` holds the frequencies of the residuals -20..20 (integer minus centre) and of an
escape. All of it is integer arithmetic: docs/format.md, "Frequency tables".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = [
    "MAX_RESIDUAL",
    "PHASES",
    "SIGMAS",
    "STEP_UNIT_BITS",
    "FrequencyTables",
    "QuantisedPrediction",
    "quantise_prediction",
]

SIGMAS, PHASES, MAX_RESIDUAL = 49, 16, 20
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
    """The predictions of N integers, quantised as the module describes; each field is int64[N]."""

    centre: NDArray[np.int64]
    table_index: NDArray[np.int64]  # 16 * sigma_index + phase
    low_bits: NDArray[np.int64]

    def symbols(self, integers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the symbol of each of ``integers`` int64[N]: the residual plus 20, or the escape."""
        residual = self.residuals(integers)
        return np.where(np.abs(residual) <= MAX_RESIDUAL, residual + MAX_RESIDUAL, ESCAPE)

    def interval_symbols(self, integers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns :meth:`symbols`, with the escape also where ``low_bits`` is above 0.

        A symbol that is not the escape then stands for an interval of one step, in which the latent has a
        conditional mean.
        """
        return np.where(self.low_bits > 0, ESCAPE, self.symbols(integers))

    def residuals(self, integers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns ``integers`` int64[N] without their low bits, minus the centre."""
        return (integers >> self.low_bits) - self.centre


def quantise_prediction(
    mean: NDArray[np.int64], scale: NDArray[np.int64], level: NDArray[np.int64], step: NDArray[np.int64]
) -> QuantisedPrediction:
    """Quantises the predictions of N integers, which selects the frequency tables that code them.

    All arguments are int64[N]: ``mean`` in 2**-8 latents, ``scale`` 0..127, ``level`` the effective level
    (the channel's level offset included), ``step`` in 2**-22 latents.
    """
    # Mean and sigma in quantiser steps: sixteenths of one step, and eighths of log2(sigma / step), plus 32.
    mean_sixteenths = ((mean << (_STEP_BITS + 4)) + (step >> 1)) // step
    sigma_index = np.maximum(scale - level + SCALE_ORIGIN, 0) >> 1
    # Eight indices are one doubling of sigma. Each doubling above the last table takes one low bit, also a
    # doubling that has only begun.
    low_bits = np.maximum(sigma_index - (SIGMAS - 1) + 7, 0) >> 3
    sigma_index = sigma_index - 8 * low_bits
    # The integers that share all but their low bits have their centre (2**low_bits - 1) / 2 above the lowest.
    mean_sixteenths = (mean_sixteenths - 8 * ((1 << low_bits) - 1)) >> low_bits
    centre = (mean_sixteenths + 8) >> 4
    phase = (mean_sixteenths + 8) & 15
    return QuantisedPrediction(centre, sigma_index * PHASES + phase, low_bits)


class FrequencyTables:
    """The frequency tables uint16[49, 16, 42]: each sums to 2**16, and no frequency is zero.

    All attributes are by table index, 16 * sigma_index + phase, and symbol: ``frequencies`` and ``starts``,
    the sums of the frequencies before a symbol, are int64[784, 42]; ``cumulative`` has the starts of a table
    and 2**16 as a list; ``bits`` float32[784, 42] are the ideal code lengths.
    """

    def __init__(self, frequencies: NDArray[np.uint16]) -> None:
        """Raises :class:`ModelError` for anything but a valid set of tables."""
        table = np.asarray(frequencies, np.int64)
        if (
            table.shape != (SIGMAS, PHASES, SYMBOLS)
            or table.min() < 1
            or np.any(table.sum(-1) != FREQUENCY_TOTAL)
        ):
            raise ModelError("the frequency tables are damaged")
        self.frequencies = table.reshape(-1, SYMBOLS)
        self.starts = np.cumsum(self.frequencies, -1) - self.frequencies
        self.cumulative: list[list[int]] = [[*starts, FREQUENCY_TOTAL] for starts in self.starts.tolist()]
        self.bits = (FREQUENCY_BITS - np.log2(self.frequencies)).astype(np.float32)

    def cost(self, integers: NDArray[np.int64], quantised: QuantisedPrediction) -> NDArray[np.float32]:
        """Estimates the bits float32[N] that code ``integers`` int64[N], bypass bits included."""
        residual = quantised.residuals(integers)
        inside = np.abs(residual) <= MAX_RESIDUAL
        symbol = np.where(inside, residual + MAX_RESIDUAL, ESCAPE)
        extra = 6 + 2 * np.log2(np.maximum(np.abs(residual) - MAX_RESIDUAL, 1)).astype(np.float32)
        bits = self.bits[quantised.table_index, symbol] + np.where(inside, np.float32(0), extra)
        return (bits + quantised.low_bits).astype(np.float32)
