"""Colour correction for pictures of few latents, by solving for the latents that give the right colours.

::

    latents ─ decoder ─ block means ─ error e ─┐
       ▲       response J ◄── e before and after ──┴─ J^T (J J^T + damping)^-1 e ─┐
       └──────────────────────────────────────────────────────────────────────────┘

A small picture is often of one colour, so that a colour error is easily visible, and solving takes little
time at this size. The damped updates of the latents are those of Levenberg (1944) and Marquardt (1963),
separately for every position. The response of a block to its four latents starts as a mean over photographs,
and each update corrects it by the change of colour that the update caused (Broyden, "A class of methods for
solving nonlinear simultaneous equations", 1965). Only if this does not converge, the response is measured, in
eight decodes: each shifts one channel of all positions up or down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.container import Header
from calotype.encoding.colour_error import LATENTS_PER_COLOUR, ColourError, block_colour_error
from calotype.latents import Reconstruction
from calotype.models import Decoder

__all__ = ["ColourGoal", "has_right_colours", "solve_latents_for_colours"]

_MAX_STEPS = 24
"""The largest number of updates. Each takes one decode."""

_MIN_REDUCTION, _MAX_POOR_UPDATES = 0.5, 2
"""An update is poor if it reduces the squared error by less than the first fraction. The second is the number
of poor updates in a row after which the response is measured, or the search ends."""

_MAX_ERROR_LEFT = 0.25
"""The fraction of the first squared error below which the response is not measured: photographs, whose blocks
affect each other, gain little by it."""

_TOLERANCE = 2.0
"""The largest colour error of a block that needs no correction, in units of 1/255."""

_MIN_STEP = 0.01
"""The shortest update, in scaled-latent units, by which the response of a block is corrected."""

_SHIFT = 0.25
"""The shift in both directions by which the response is measured, in scaled-latent units."""

_DAMPING, _DAMPING_FACTOR = 0.01, 4.0
"""The initial damping, relative to the response, and the factor by which it is divided after a success."""


@dataclass(frozen=True, eq=False)
class ColourGoal:
    """The pixels ``rgb`` uint8[8h, 8w, 3] that ``decoder`` should make of latents.

    ``levels`` int64[h, w] are the levels at which the latents will be coded, and ``header`` defines which
    pixels are shown.
    """

    rgb: NDArray[np.uint8]
    levels: NDArray[np.int64]
    decoder: Decoder
    header: Header

    def error_of(self, latents: NDArray[np.float32]) -> ColourError:
        """Returns the colour error of latents float32[4, h, w] before their quantisation."""
        unquantised = Reconstruction(latents, self.levels, conditional_mean=latents)
        return block_colour_error(self.rgb, unquantised, self.decoder, self.header)


def has_right_colours(error: ColourError) -> bool:
    """Returns whether no block has a colour error that needs a correction."""
    return bool(np.abs(error).max() <= _TOLERANCE)


def solve_latents_for_colours(latents: NDArray[np.float32], goal: ColourGoal) -> NDArray[np.float32]:
    """Returns latents float32[4, h, w] whose colours are as near to the goal as the decoder allows.

    The search starts at ``latents``.
    """
    error, damping, poor_updates, measured = goal.error_of(latents), _DAMPING, 0, False
    first_squared_error = np.square(error).mean()
    response = np.broadcast_to(np.linalg.pinv(LATENTS_PER_COLOUR.T), (*latents.shape[1:], 3, 4))
    for _ in range(_MAX_STEPS):
        if has_right_colours(error):
            break
        update = _damped_update(response, error, damping)
        error_left = goal.error_of(latents + update)
        response = _updated_response(response, update, error - error_left)
        reduction = 1 - np.square(error_left).sum() / np.square(error).sum()
        if reduction > 0:
            latents, error, damping = latents + update, error_left, damping / _DAMPING_FACTOR
        else:
            damping *= _DAMPING_FACTOR
        poor_updates = poor_updates + 1 if reduction < _MIN_REDUCTION else 0
        if poor_updates == _MAX_POOR_UPDATES:
            if measured or np.square(error).mean() < _MAX_ERROR_LEFT * first_squared_error:
                break
            response, poor_updates, measured = _colour_response(latents, goal), 0, True
    return latents


def _updated_response(
    response: NDArray[np.float64], update: NDArray[np.float32], change: ColourError
) -> NDArray[np.float64]:
    """Returns the response float64[h, w, 3, 4] nearest to ``response`` that explains the change of colours.

    ``update`` float32[4, h, w] is that of the latents, ``change`` that of the colours. Blocks that hardly
    moved keep their response.
    """
    moved, changed = update.transpose(1, 2, 0)[..., None], change.transpose(1, 2, 0)[..., None]
    squared_length = np.square(moved).sum(-2, keepdims=True)
    unexplained = changed - response @ moved
    correction = unexplained @ moved.swapaxes(-1, -2) / np.maximum(squared_length, 1e-12)
    return np.where(squared_length > _MIN_STEP**2, response + correction, response)


def _colour_response(latents: NDArray[np.float32], goal: ColourGoal) -> NDArray[np.float64]:
    """Returns the change of the colours of each block for a change of its latents by 1: float64[h, w, 3, 4].

    It is measured between shifts of all positions of one channel, downwards and upwards.
    """
    differences = []
    for unit in np.eye(len(latents), dtype=np.float32):
        shift = _SHIFT * unit.reshape(-1, 1, 1)
        differences.append(goal.error_of(latents - shift) - goal.error_of(latents + shift))
    response = np.stack(differences, 1) / (2 * _SHIFT)  # [3, 4, h, w]
    return response.transpose(2, 3, 0, 1).astype(np.float64)


def _damped_update(response: NDArray[np.float64], error: ColourError, damping: float) -> NDArray[np.float32]:
    """Returns the update float32[4, h, w] of the latents that reduces the colour error."""
    transposed = response.swapaxes(-1, -2)
    gram_matrix = response @ transposed  # J J^T of the module's docstring
    scale = np.trace(gram_matrix, axis1=-2, axis2=-1)[..., None, None] + 1e-6
    colour_change = error.transpose(1, 2, 0)[..., None]
    solution = transposed @ np.linalg.solve(gram_matrix + damping * scale * np.eye(3), colour_change)
    update: NDArray[np.float32] = solution[..., 0].transpose(2, 0, 1).astype(np.float32)
    return update
