"""Rate-distortion-optimised quantisation (RDO) against the context model.

At every position the quantiser compares the two integers around the latent. It chooses the one with the
smaller cost: squared error, in squared steps, plus ``lambda_`` times the bits of the context model.
Positions of coarse spacing are coded first and are context for all later ones, so that they get a smaller
multiplier. Video coders treat their reference pictures in the same way (quantiser cascading).

Errors of equal sign in neighbouring latents are visible as tints and blotches. Errors of alternating sign
average out. The quantiser therefore adds part of the error of the neighbours that are already quantised to
each latent: error diffusion (Floyd and Steinberg, 1976), in coding order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.bit_budget import BitBudget, lambda_for_bits
from calotype.entropy import BASE_SPACING, Prediction
from calotype.entropy.symbols import MAX_MAGNITUDE, SymbolEncoder
from calotype.entropy.tables import STEP_UNIT_BITS, FrequencyTables
from calotype.latents import conditional_mean_offsets

__all__ = ["CASCADES", "Cascade", "RdoQuantiser"]

Cascade = tuple[float, float, float, float]
"""Factors of ``lambda_`` at the positions of spacing 8 and in the grids of spacing 4, 2 and 1."""

CASCADES: tuple[Cascade, ...] = (
    (0.5, 0.6, 0.8, 1.0),
    (1.0, 1.0, 1.0, 1.0),
    (0.3, 0.4, 0.7, 1.0),
    (0.1, 0.2, 0.5, 1.1),
)
"""The cascades that efforts may try; effort 5 uses the first one only."""

_LAST_GRID = 3
"""The index of the grid of spacing 1, in which a budget sets the multiplier: its integers are context for few
others."""

_MAX_DIFFUSED = 0.4
"""The largest error, in steps, that error diffusion adds to a latent."""


class RdoQuantiser:
    """Quantises ``latents`` float32[4, h, w], prediction by prediction, and codes them with the
    ``symbol_encoder``.

    With ``lambda_`` 0 it rounds to the nearest integer. At 0.12 and a high rate, a saved bit increases the
    squared error as much as a coarser step would. ``error_diffusion`` is the fraction of the neighbours' mean
    error, after conditional-mean reconstruction, that is added to a latent. After the pass,
    ``prediction_bits`` are the ideal code lengths of the predictions and ``error`` is the squared error in
    squared steps.

    With a ``budget`` the predictions of the last grid get the multipliers that keep the pass to it.
    """

    def __init__(
        self,
        latents: NDArray[np.float32],
        tables: FrequencyTables,
        lambda_: float,
        cascade: Cascade = CASCADES[0],
        error_diffusion: float = 0.0,
        budget: BitBudget | None = None,
    ) -> None:
        self._latents, self._tables, self._budget = latents, tables, budget
        self._lambda, self._cascade, self._error_diffusion = lambda_, cascade, error_diffusion
        # Errors in steps, and 1 where a position is quantised. Both are padded so that every position has
        # neighbours.
        shape = (len(latents), *(side + 2 * BASE_SPACING for side in latents.shape[1:]))
        self._errors, self._is_quantised = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.symbol_encoder = SymbolEncoder(tables)
        self.prediction_bits: list[float] = []
        self._nominal_bits = 0.0
        self.error = 0.0

    def quantise(self, prediction: Prediction) -> NDArray[np.int64]:
        """Quantises the latents of one prediction to int64[N]."""
        values = self._latents[prediction.channel, prediction.rows, prediction.columns].ravel()
        unquantised = values.astype(np.float64) * (2.0**STEP_UNIT_BITS / prediction.step)
        target = unquantised
        if self._error_diffusion:
            diffused = self._error_diffusion * self._mean_neighbour_error(prediction)
            target = unquantised + np.clip(diffused, -_MAX_DIFFUSED, _MAX_DIFFUSED)
        target = np.clip(target, -MAX_MAGNITUDE, MAX_MAGNITUDE)
        chosen = np.round(target).astype(np.int64)
        chosen, bits = self._optimised(chosen, target, prediction)
        self.prediction_bits.append(float(bits.sum()))
        self.error += float(((unquantised - chosen) ** 2).sum())
        if self._error_diffusion:
            quantised = prediction.quantised
            self._store_errors(
                unquantised
                - chosen
                - conditional_mean_offsets(quantised.table_index, quantised.interval_symbols(chosen)),
                prediction,
            )
        self.symbol_encoder.encode(chosen, prediction)
        return chosen

    def _optimised(
        self, chosen: NDArray[np.int64], target: NDArray[np.float64], prediction: Prediction
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the integers int64[N] of the smaller cost, and the bits float32[N] that they take.

        ``chosen`` are the integers nearest to ``target``.
        """
        grid = _cascade_index(prediction)
        lambda_ = self._lambda * self._cascade[grid]
        budget = self._budget if grid == _LAST_GRID else None
        bits, error = self._cost(chosen, target, prediction)
        nominal_bits = float(bits.sum())
        if lambda_ or budget:
            second_nearest = chosen + np.where(target > chosen, 1, -1)
            its_bits, its_error = self._cost(second_nearest, target, prediction)
            saved_bits = np.where(np.abs(second_nearest) <= MAX_MAGNITUDE, bits - its_bits, np.float32(0))
            added_error = its_error - error
            nominal_bits -= float(saved_bits[added_error < lambda_ * saved_bits].sum())
            if budget:
                allowed = budget.bits_of_prediction(self.prediction_bits, self._nominal_bits, nominal_bits)
                lambda_ = min(lambda_for_bits(allowed, bits, saved_bits, added_error), budget.max_lambda)
            cheaper = added_error < lambda_ * saved_bits
            chosen, bits = np.where(cheaper, second_nearest, chosen), np.where(cheaper, its_bits, bits)
        self._nominal_bits += nominal_bits
        return chosen, bits

    def _mean_neighbour_error(self, prediction: Prediction) -> NDArray[np.float32]:
        """Returns the mean error of the quantised neighbours in steps, float32[N]; 0 where there are none."""
        error_sum, count = (
            np.sum([plane[positions] for positions in _neighbour_positions(prediction)], 0).ravel()
            for plane in (self._errors[prediction.channel], self._is_quantised[prediction.channel])
        )
        mean: NDArray[np.float32] = error_sum / np.maximum(count, 1)
        return mean

    def _store_errors(self, errors: NDArray[np.float64], prediction: Prediction) -> None:
        """Stores the errors float64[N], in steps, for the neighbours that are quantised later."""
        positions = _slice_of_padded_plane(prediction.rows), _slice_of_padded_plane(prediction.columns)
        plane = self._errors[prediction.channel][positions]
        plane[...] = errors.reshape(plane.shape)
        self._is_quantised[prediction.channel][positions] = 1

    def _cost(
        self, chosen: NDArray[np.int64], target: NDArray[np.float64], prediction: Prediction
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Returns (bits, squared error in squared steps) of each integer."""
        return self._tables.cost(chosen, prediction.quantised), (target - chosen) ** 2


def _cascade_index(prediction: Prediction) -> int:
    """Returns 0 for the positions of spacing 8, and 1 to 3 for the grids of spacing 4, 2 and 1.

    The strides are 8, 8, 4 and 2. Offsets distinguish the first two.
    """
    stride = prediction.rows.step
    if stride == BASE_SPACING:
        return int(bool(prediction.rows.start or prediction.columns.start))
    return 2 if stride == BASE_SPACING // 2 else 3


def _neighbour_positions(prediction: Prediction) -> Iterator[tuple[slice, slice]]:
    """Yields the positions of the eight neighbours, at the spacing of their grid."""
    spacing = prediction.rows.step // 2
    for dy, dx in product((-spacing, 0, spacing), repeat=2):
        if dy or dx:
            yield _slice_of_padded_plane(prediction.rows, dy), _slice_of_padded_plane(prediction.columns, dx)


def _slice_of_padded_plane(part: slice, shift: int = 0) -> slice:
    """Returns ``part``, shifted by ``shift``, as a slice of planes padded by BASE_SPACING on every side."""
    return slice(part.start + BASE_SPACING + shift, part.stop + BASE_SPACING + shift, part.step)
