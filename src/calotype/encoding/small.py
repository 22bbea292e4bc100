"""Pictures of few latents: their colours are solved for, instead of being corrected in a step or two.

::

    latents ─ decoder ─ block means ─ error e ─┐
       ▲          └─ response J ───────────────┴─ J^T (J J^T + damping)^-1 e ─┐
       └──────────────────────────────────────────────────────────────────────┘

A small picture is often of one colour, which anybody notices to be another; and at a size like this there is
time. It is the method of Levenberg (1944) and Marquardt (1963), at every position by itself: the response of
its block to its four latents is measured as all positions move alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.container import Header
from calotype.encoding.candidate import Candidate, code
from calotype.encoding.closed_loop import block_means, decoded_pixels
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import padded
from calotype.errors import TargetSizeError
from calotype.latents import Reconstruction, level_map
from calotype.models import Decoder

__all__ = ["with_solved_colours"]

_ROUNDS, _MAX_TRIES = 16, 6
"""Of solving, and how often a round may raise the damping until the error falls."""

_TOLERANCE = 2.0
"""255ths; the colours of all blocks are right if none is further off."""

_SHIFT = 0.25
"""Latent units, by which the response is measured in both directions."""

_DAMPING, _DAMPING_FACTOR = 0.01, 4.0
"""Relative to the response, to begin with; and what it is divided by after a success."""

Colours = NDArray[np.float32]


def with_solved_colours(
    candidate: Candidate, rgb: NDArray[np.uint8], plan: Plan, decoder: Decoder
) -> Candidate:
    """The candidate with colours nearer to those of ``rgb`` uint8[8h, 8w, 3], at the rate of the plan.

    It is ``candidate`` itself if its colours are right, or if no other comes nearer.
    """
    error = _BlockError(candidate.header, rgb, decoder)
    before = error(candidate.reconstruction)
    if np.abs(before).max() <= _TOLERANCE:
        return candidate
    header, levels = candidate.header, candidate.reconstruction.levels
    if plan.rate.level is not None:  # which is to be kept to the letter: it costs a few bytes
        levels = level_map(plan.rate.level, header.level - levels)
    latents = _solved(candidate.latents, levels, error)
    try:
        solved = code(latents, header, candidate.chunks, plan.rate, plan.rdo, near=header.level)
    except TargetSizeError:
        return candidate
    nearer = np.square(error(solved.reconstruction)).sum() < np.square(before).sum()
    return solved if nearer else candidate


class _BlockError:
    """What the mean colours of blocks lack; pixels that are not shown repeat the last ones that are."""

    def __init__(self, header: Header, rgb: NDArray[np.uint8], decoder: Decoder) -> None:
        width, height = header.coded_size
        self._shown = slice(0, height), slice(0, width)
        self._rgb, self._decoder, self._extension = rgb.astype(np.int16), decoder, header.extension

    def __call__(self, reconstruction: Reconstruction) -> Colours:
        """float32[3, h, w] in 255ths."""
        lacking = self._rgb - decoded_pixels(reconstruction, self._decoder, self._extension)
        return block_means(padded(lacking[self._shown]))


def _solved(
    latents: NDArray[np.float32], levels: NDArray[np.int64], error_of: _BlockError
) -> NDArray[np.float32]:
    """Latents float32[4, h, w] whose blocks lack nothing, as far as the decoder can show their colours."""

    def lacking(latents: NDArray[np.float32]) -> Colours:
        return error_of(Reconstruction(latents, levels, conditional_mean=latents))

    error, damping = lacking(latents), _DAMPING
    for _ in range(_ROUNDS):
        if np.abs(error).max() <= _TOLERANCE:
            break
        step_at = _Step([lacking(latents - s) - lacking(latents + s) for s in _shifts(latents)], error)
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


def _shifts(latents: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """One for each channel, float32[4, 1, 1]."""
    return [_SHIFT * unit.reshape(-1, 1, 1) for unit in np.eye(len(latents), dtype=np.float32)]


class _Step:
    """Where the latents should go, by how far the damping allows."""

    def __init__(self, differences: list[Colours], error: Colours) -> None:
        """``differences`` float32[3, h, w]: what each channel up instead of down makes of the colours."""
        response = np.stack(differences, 1) / (2 * _SHIFT)  # [3, 4, h, w]
        self._response = response.transpose(2, 3, 0, 1).astype(np.float64)
        self._error = error.transpose(1, 2, 0)[..., None]

    def __call__(self, damping: float) -> NDArray[np.float32]:
        """float32[4, h, w]."""
        transposed = self._response.swapaxes(-1, -2)
        square = self._response @ transposed
        scale = np.trace(square, axis1=-2, axis2=-1)[..., None, None] + 1e-6
        solution = transposed @ np.linalg.solve(square + damping * scale * np.eye(3), self._error)
        step: NDArray[np.float32] = solution[..., 0].transpose(2, 0, 1).astype(np.float32)
        return step
