"""Colour correction for pictures of few latents, by solving for the latents that give the right colours.

::

    latents ─ decoder ─ block means ─ error e ─┐
       ▲          └─ response J ───────────────┴─ J^T (J J^T + damping)^-1 e ─┐
       └──────────────────────────────────────────────────────────────────────┘

A small picture is often of one colour, so that a colour error is easily visible, and solving takes little
time at this size. The method is that of Levenberg (1944) and Marquardt (1963), separately for every
position. The response of a block to its four latents is measured while all positions are shifted alike. It
is used again for as long as it helps, for measuring it takes most of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.container import Header
from calotype.encoding.colour_error import ColourError, block_colour_error
from calotype.latents import Reconstruction
from calotype.models import Decoder

__all__ = ["ColourGoal", "has_right_colours", "solve_latents_for_colours"]

_ROUNDS, _MAX_TRIES = 16, 6
"""The largest number of iterations, and of increases of the damping in one iteration."""

_LEAST_GAIN = 0.1
"""The search ends when an iteration with a new response reduces the squared error by a smaller share."""

_GAIN_OF_GOOD_RESPONSE = 0.5
"""The response is measured again, in eight decodes, after an iteration that reduces the squared error by a
smaller share."""

_TOLERANCE = 2.0
"""The largest colour error of a block that needs no correction, in units of 1/255."""

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
        exact = Reconstruction(latents, self.levels, conditional_mean=latents)
        return block_colour_error(self.rgb, exact, self.decoder, self.header)


def has_right_colours(error: ColourError) -> bool:
    """Returns whether no block has a colour error that needs a correction."""
    return bool(np.abs(error).max() <= _TOLERANCE)


def solve_latents_for_colours(latents: NDArray[np.float32], goal: ColourGoal) -> NDArray[np.float32]:
    """Returns latents float32[4, h, w] whose colours are as near to the goal as the decoder allows.

    The search starts at ``latents``.
    """
    error, damping = goal.error_of(latents), _DAMPING
    response: NDArray[np.float64] | None = None
    for _ in range(_ROUNDS):
        if has_right_colours(error):
            break
        is_new = response is None
        if response is None:
            response = _colour_response(latents, goal)
        before = np.square(error).sum()
        for _ in range(_MAX_TRIES if is_new else 1):
            moved = latents + _damped_step(response, error, damping)
            left = goal.error_of(moved)
            if np.square(left).sum() < before:
                latents, error, damping = moved, left, damping / _DAMPING_FACTOR
                break
            damping *= _DAMPING_FACTOR
        gain = 1 - np.square(error).sum() / before
        if is_new and gain < _LEAST_GAIN:
            break
        if gain < _GAIN_OF_GOOD_RESPONSE:
            response = None
    return latents


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


def _damped_step(response: NDArray[np.float64], error: ColourError, damping: float) -> NDArray[np.float32]:
    """Returns the step float32[4, h, w] of the latents that reduces the colour error."""
    transposed = response.swapaxes(-1, -2)
    square = response @ transposed
    scale = np.trace(square, axis1=-2, axis2=-1)[..., None, None] + 1e-6
    wanted = error.transpose(1, 2, 0)[..., None]
    solution = transposed @ np.linalg.solve(square + damping * scale * np.eye(3), wanted)
    step: NDArray[np.float32] = solution[..., 0].transpose(2, 0, 1).astype(np.float32)
    return step
