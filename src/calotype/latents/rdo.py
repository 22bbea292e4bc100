"""Rate-distortion-optimised quantisation against the real entropy model.

At every position the two integers around the latent compete: squared error in units of the step, plus
``strength`` times the bits the context model charges. The walk codes coarse lattice sites first and they
are context for all that follow, so they are decided more carefully (a smaller strength), as video coders
do with the frames that others refer to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import Prediction
from calotype.entropy.stream import LARGEST, StreamEncoder
from calotype.entropy.tables import STEP_UNIT_BITS, FrequencyTables

__all__ = ["CASCADES", "Cascade", "Chooser"]

Cascade = tuple[float, float, float, float]
"""Strength at the lattice of spacing 8 and at the rounds 4, 2, 1, relative to the nominal one."""

CASCADES: tuple[Cascade, ...] = (
    (0.5, 0.6, 0.8, 1.0),
    (1.0, 1.0, 1.0, 1.0),
    (0.3, 0.4, 0.7, 1.0),
    (0.1, 0.2, 0.5, 1.1),
)
"""The default first; higher efforts try the others too."""


class Chooser:
    """A visitor that quantises ``latents`` and hands the integers to a :class:`StreamEncoder`.

    ``strength`` 0 rounds to the nearest; 0.12 is where, at high rate, a bit saved costs what a coarser
    step would. After the walk ``bits`` is the ideal length and ``error`` the squared error in steps.
    """

    def __init__(
        self,
        latents: NDArray[np.float32],
        tables: FrequencyTables,
        strength: float,
        cascade: Cascade = CASCADES[0],
    ) -> None:
        self._latents, self._tables = latents, tables
        self._strength, self._cascade = strength, cascade
        self.stream = StreamEncoder(tables)
        self.bits, self.error = 0.0, 0.0

    def __call__(self, prediction: Prediction) -> NDArray[np.int64]:
        """Chooses int64[N] for one prediction."""
        values = self._latents[prediction.channel, prediction.rows, prediction.columns].ravel()
        exact = values.astype(np.float64) * (2.0**STEP_UNIT_BITS / prediction.step)
        exact = np.clip(exact, -LARGEST, LARGEST)
        chosen = np.round(exact).astype(np.int64)
        bits, error = self._price(chosen, exact, prediction)
        strength = self._strength * self._cascade[self._round(prediction)]
        if strength:
            other = chosen + np.where(exact > chosen, 1, -1)
            other_bits, other_error = self._price(other, exact, prediction)
            better = other_error + strength * other_bits < error + strength * bits
            better &= np.abs(other) <= LARGEST
            chosen = np.where(better, other, chosen)
            bits, error = np.where(better, other_bits, bits), np.where(better, other_error, error)
        self.bits += float(bits.sum())
        self.error += float(error.sum())
        self.stream.put(chosen, prediction)
        return chosen

    def _price(
        self, chosen: NDArray[np.int64], exact: NDArray[np.float64], prediction: Prediction
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        slots = prediction.slots
        residual = (chosen >> slots.fine) - slots.centre
        return self._tables.cost(residual, slots), (exact - chosen) ** 2

    @staticmethod
    def _round(prediction: Prediction) -> int:
        """0 for the base lattice, 1 to 3 for the rounds; strides are 8, 8, 4, 2 and offsets tell apart."""
        stride = prediction.rows.step
        if stride == 8:
            return int(bool(prediction.rows.start or prediction.columns.start))
        return 2 if stride == 4 else 3
