"""Colour correction for pictures of few latents, by solving for the latents that give the right colours.

::

    latents ─ decoder ─ block means ─ error e ─┐
       ▲          └─ response J ───────────────┴─ J^T (J J^T + damping)^-1 e ─┐
       └──────────────────────────────────────────────────────────────────────┘

A small picture is often of one colour, so that a colour error is easily visible, and solving takes little
time at this size. The method is that of Levenberg (1944) and Marquardt (1963), separately for every
position. The response of a block to its four latents is measured while all positions are shifted alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.container import Header
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.closed_loop import decoded_pixels, mean_block_colours
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import pad_to_latent_blocks
from calotype.errors import TargetSizeError
from calotype.latents import Reconstruction, level_map
from calotype.models import Decoder

__all__ = ["with_solved_colours"]

_ROUNDS, _MAX_TRIES = 16, 6
"""The largest number of iterations, and of increases of the damping in one iteration."""

_TOLERANCE = 2.0
"""The largest colour error of a block that needs no correction, in units of 1/255."""

_SHIFT = 0.25
"""The shift in both directions by which the response is measured, in scaled-latent units."""

_DAMPING, _DAMPING_FACTOR = 0.01, 4.0
"""The initial damping, relative to the response, and the factor by which it is divided after a success."""

Colours = NDArray[np.float32]


def with_solved_colours(
    candidate: Candidate, rgb: NDArray[np.uint8], plan: Plan, decoder: Decoder
) -> Candidate:
    """Returns the candidate with colours nearer to those of ``rgb`` uint8[8h, 8w, 3], at the plan's rate.

    It returns ``candidate`` itself if its colours are right, or if solving does not bring them nearer.
    """
    error = _BlockColourError(candidate.header, rgb, decoder)
    before = error(candidate.reconstruction)
    if np.abs(before).max() <= _TOLERANCE:
        return candidate
    header, levels = candidate.header, candidate.reconstruction.levels
    if plan.rate.level is not None:  # The level must be kept exactly, at the cost of a few bytes.
        levels = level_map(plan.rate.level, header.level - levels)
    latents = _solve_block_colours(candidate.latents, levels, error)
    try:
        solved = code_latents(
            latents, header, candidate.chunks, plan.rate, plan.rdo, first_level=header.level
        )
    except TargetSizeError:
        return candidate
    nearer = np.square(error(solved.reconstruction)).sum() < np.square(before).sum()
    return solved if nearer else candidate


class _BlockColourError:
    """The error of the mean colours of blocks; pixels that are not shown repeat the last ones that are."""

    def __init__(self, header: Header, rgb: NDArray[np.uint8], decoder: Decoder) -> None:
        width, height = header.coded_size
        self._shown = slice(0, height), slice(0, width)
        self._rgb, self._decoder, self._extension = rgb.astype(np.int16), decoder, header.extension

    def __call__(self, reconstruction: Reconstruction) -> Colours:
        """Returns the colour error float32[3, h, w], in units of 1/255."""
        lacking = self._rgb - decoded_pixels(reconstruction, self._decoder, self._extension)
        return mean_block_colours(pad_to_latent_blocks(lacking[self._shown]))


def _solve_block_colours(
    latents: NDArray[np.float32], levels: NDArray[np.int64], error_of: _BlockColourError
) -> NDArray[np.float32]:
    """Returns latents float32[4, h, w] whose colour error is as small as the decoder allows."""

    def lacking(latents: NDArray[np.float32]) -> Colours:
        return error_of(Reconstruction(latents, levels, conditional_mean=latents))

    error, damping = lacking(latents), _DAMPING
    for _ in range(_ROUNDS):
        if np.abs(error).max() <= _TOLERANCE:
            break
        step_at = _LevenbergMarquardtStep(
            [lacking(latents - s) - lacking(latents + s) for s in _channel_shifts(latents)], error
        )
        for _ in range(_MAX_TRIES):
            moved = latents + step_at(damping)
            left = lacking(moved)
            if np.square(left).sum() < np.square(error).sum():
                latents, error, damping = moved, left, damping / _DAMPING_FACTOR
                break
            damping *= _DAMPING_FACTOR
        else:
            break
    return latents


def _channel_shifts(latents: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Returns one shift for each channel, float32[4, 1, 1]."""
    return [_SHIFT * unit.reshape(-1, 1, 1) for unit in np.eye(len(latents), dtype=np.float32)]


class _LevenbergMarquardtStep:
    """The damped step of the latents that reduces the colour error."""

    def __init__(self, differences: list[Colours], error: Colours) -> None:
        """``differences`` float32[3, h, w] are the differences of the colours between a shift of each channel
        upwards and one downwards."""
        response = np.stack(differences, 1) / (2 * _SHIFT)  # [3, 4, h, w]
        self._response = response.transpose(2, 3, 0, 1).astype(np.float64)
        self._error = error.transpose(1, 2, 0)[..., None]

    def __call__(self, damping: float) -> NDArray[np.float32]:
        """Returns the step float32[4, h, w]."""
        transposed = self._response.swapaxes(-1, -2)
        square = self._response @ transposed
        scale = np.trace(square, axis1=-2, axis2=-1)[..., None, None] + 1e-6
        solution = transposed @ np.linalg.solve(square + damping * scale * np.eye(3), self._error)
        step: NDArray[np.float32] = solution[..., 0].transpose(2, 0, 1).astype(np.float32)
        return step
