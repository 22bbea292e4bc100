"""Rate-distortion-optimised quantisation against the real entropy model.

At every position the two integers around the latent compete: squared error in units of the step, plus
``strength`` times the bits the context model charges. The walk codes coarse lattice sites first and they
are context for all that follow, so they are decided more carefully (a smaller strength), as video coders
do with the frames that others refer to.

Errors that neighbours share are tints and blotches, which the eye finds at once and no decoder can take away,
while one that averages over its surroundings hardly shows those that alternate. So each position also makes
up for some of the error of the neighbours decided before it: error diffusion, in the order of the walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import BLOCK, Prediction
from calotype.entropy.stream import LARGEST, StreamEncoder
from calotype.entropy.tables import OFFSET_UNIT_BITS, STEP_UNIT_BITS, FrequencyTables, expected_offsets

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


_MOST_OWED = 0.4
"""In steps: a position makes up for no more."""


class Chooser:
    """A visitor that quantises ``latents`` and hands the integers to a :class:`StreamEncoder`.

    ``strength`` 0 rounds to the nearest; 0.12 is where, at high rate, a bit saved costs what a coarser
    step would. ``feedback`` is the share of the neighbours' mean error, in what a decoder expects, that a
    position makes up for. After the walk ``bits`` is the ideal length, ``error`` the squared error in steps.
    """

    def __init__(
        self,
        latents: NDArray[np.float32],
        tables: FrequencyTables,
        strength: float,
        cascade: Cascade = CASCADES[0],
        feedback: float = 0.0,
    ) -> None:
        self._latents, self._tables = latents, tables
        self._strength, self._cascade, self._feedback = strength, cascade, feedback
        # Padded, so that every position has neighbours: the errors, and which positions are decided.
        shape = (len(latents), *(side + 2 * BLOCK for side in latents.shape[1:]))
        self._errors, self._decided = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.stream = StreamEncoder(tables)
        self.bits, self.error = 0.0, 0.0

    def __call__(self, prediction: Prediction) -> NDArray[np.int64]:
        """Chooses int64[N] for one prediction."""
        values = self._latents[prediction.channel, prediction.rows, prediction.columns].ravel()
        exact = values.astype(np.float64) * (2.0**STEP_UNIT_BITS / prediction.step)
        wanted = exact
        if self._feedback:
            owed = self._feedback * self._error_around(prediction)
            exact = exact + np.clip(owed, -_MOST_OWED, _MOST_OWED)
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
            bits = np.where(better, other_bits, bits)
        self.bits += float(bits.sum())
        self.error += float(((wanted - chosen) ** 2).sum())
        if self._feedback:
            self._note(
                wanted - chosen - expected_offsets(chosen, prediction.slots) * 2.0**-OFFSET_UNIT_BITS,
                prediction,
            )
        self.stream.put(chosen, prediction)
        return chosen

    def _error_around(self, prediction: Prediction) -> NDArray[np.float32]:
        """The mean error of the neighbours that are decided, in steps, float32[N]; 0 where none is."""
        total, count = (
            np.sum([plane[at] for at in self._neighbours(prediction)], 0).ravel()
            for plane in (self._errors[prediction.channel], self._decided[prediction.channel])
        )
        mean: NDArray[np.float32] = total / np.maximum(count, 1)
        return mean

    def _note(self, errors: NDArray[np.float64], prediction: Prediction) -> None:
        """Keeps the errors float64[N], in steps, for the neighbours that follow."""
        at = _padded(prediction.rows), _padded(prediction.columns)
        site = self._errors[prediction.channel][at]
        site[...] = errors.reshape(site.shape)
        self._decided[prediction.channel][at] = 1

    def _neighbours(self, prediction: Prediction) -> Iterator[tuple[slice, slice]]:
        """Where the eight neighbours on the lattice that this site refines are."""
        spacing = prediction.rows.step // 2
        for dy, dx in product((-spacing, 0, spacing), repeat=2):
            if dy or dx:
                yield _padded(prediction.rows, dy), _padded(prediction.columns, dx)

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


def _padded(part: slice, shift: int = 0) -> slice:
    """The same positions, shifted, in planes padded by BLOCK on every side."""
    return slice(part.start + BLOCK + shift, part.stop + BLOCK + shift, part.step)
