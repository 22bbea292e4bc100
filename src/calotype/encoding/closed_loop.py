"""Closed-loop encoding (analysis by synthesis): latents are corrected by what the decoder makes of them.

::

    candidate ─ round-trip correction ─┬─ quantiser ─ decoder ─ colour error ─┐
                                       └─────────── colour correction ────────┘

A round trip through decoder D and encoder E weakens what a picture's latents z = E(x) say. So what it takes
away is put in beforehand: z + s (z - E(D(z))). It is one step of van Cittert's iteration for undoing a blur
("Zum Einfluß der Spaltbreite auf die Intensitätsverteilung in Spektrallinien", 1931), and takes one decode
and one encode.

The colours that a coarse step leaves are wrong over tens of pixels: tints and blotches, which the eye finds
at once. The encoder measures them in the decoded picture, and moves the latents against them. Moves too small
for one latent still count, for the quantiser diffuses its errors (``encoding.rdo``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.candidate import Candidate, code, quantise
from calotype.encoding.plan import Plan
from calotype.errors import TargetSizeError
from calotype.latents import FINEST, SD1, Reconstruction, log_step_map
from calotype.models import Decoder, DecoderInput, Encoder
from calotype.models.tiling import decode_tiled, encode_tiled

__all__ = [
    "block_means",
    "close_loop",
    "colour_corrected",
    "colour_error",
    "decoded_pixels",
    "is_tinted",
    "round_trip_corrected",
]

_GAIN = 0.3
"""Of the round-trip correction; with more, or in more steps, the latents leave what other decoders know."""

_FADING_LEVEL, _FADED_LEVEL = 76, 92
"""Coarse steps hide what it gains: the full gain up to the first level, none of it from the second up."""

_TINTED_LEVEL = 64
"""A level beyond which the tints of a file without closed loop can be seen."""

_ROUNDS = 2
"""Of colour correction. A third is no better at equal bytes: each makes a file a hundredth larger."""

_COLOUR_GAIN = 0.5
"""Of the colour correction; with more the latents swing."""

_LATENTS_PER_COLOUR = np.array(
    [
        [0.00813, 0.00364, -0.02014, -0.00278],
        [0.00734, 0.01927, 0.01725, 0.01066],
        [-0.00302, -0.00947, 0.00311, -0.01678],
    ],
    np.float32,
)
"""What one more of 255 in red, green or blue, all over a picture, adds to the four latents of ``sd1``.

Measured: least squares over 18 shifts of six photographs that no network was trained on.
"""


def is_tinted(candidate: Candidate) -> bool:
    """Whether tints show at the candidate's level."""
    return candidate.header.level > _TINTED_LEVEL


def close_loop(
    candidate: Candidate, rgb: NDArray[np.uint8], plan: Plan, encoder: Encoder, decoder: Decoder
) -> Candidate:
    """The candidate with colours nearer to those of its pixels ``rgb`` uint8[8h, 8w, 3], at the same rate.

    Its latents are those of ``encoder``; first they get the round-trip correction, if it is in the plan. The
    result is ``candidate`` itself if no other comes nearer, or if the others do not fit.
    """
    latents = candidate.latents
    extension = candidate.header.extension
    error = before = colour_error(rgb, candidate.reconstruction, decoder, extension)
    if plan.round_trip:
        gain = _gain_at(candidate.reconstruction.levels)
        latents = round_trip_corrected(encoder, decoder, latents, gain, extension)
        error = colour_error(rgb, quantise(latents, candidate, plan.rdo), decoder, extension)
    for rounds_left in reversed(range(_ROUNDS)):
        latents = colour_corrected(latents, error)
        if rounds_left:
            error = colour_error(rgb, quantise(latents, candidate, plan.rdo), decoder, extension)
    header = candidate.header
    try:
        corrected = code(latents, header, candidate.chunks, candidate.rate, plan.rdo, near=header.level)
    except TargetSizeError:  # these need more bytes, if only a few
        return candidate
    after = colour_error(rgb, corrected.reconstruction, decoder, extension)
    return corrected if np.abs(after).sum() < np.abs(before).sum() else candidate


def round_trip_corrected(
    encoder: Encoder,
    decoder: Decoder,
    latents: NDArray[np.float32],
    gain: NDArray[np.float32] | float = _GAIN,
    extension: int = 0,
) -> NDArray[np.float32]:
    """Latents float32[4, h, w] of ``encoder`` as they show more of the picture through ``decoder``.

    ``gain`` is the share of what a round trip takes away: one for all, or float32[h, w]. For ``extension``
    see :class:`DecoderInput`.
    """
    if not np.any(gain):
        return latents
    levels = np.full(latents.shape[1:], FINEST, np.int64)
    decoded = decoded_pixels(Reconstruction(latents, levels, conditional_mean=latents), decoder, extension)
    loss = latents - encode_tiled(encoder, decoded, extension)
    corrected: NDArray[np.float32] = latents + np.asarray(gain, np.float32) * loss
    return corrected


def colour_corrected(latents: NDArray[np.float32], error: NDArray[np.float32]) -> NDArray[np.float32]:
    """Latents float32[4, h, w] moved so that half of the colour error goes.

    ``error`` float32[3, h, w], in 255ths of red, green and blue.
    """
    shift = np.tensordot(_LATENTS_PER_COLOUR, error, axes=(0, 0))
    moved: NDArray[np.float32] = latents + np.float32(_COLOUR_GAIN) * shift
    return moved


def colour_error(
    rgb: NDArray[np.uint8], reconstruction: Reconstruction, decoder: Decoder, extension: int = 0
) -> NDArray[np.float32]:
    """What the mean colours of 8x8 pixels lack, smoothed over neighbours, float32[3, h, w] in 255ths."""
    error = block_means(rgb) - block_means(decoded_pixels(reconstruction, decoder, extension))
    for axis in (1, 2):
        ends = [(1, 1) if axis == other_axis else (0, 0) for other_axis in range(3)]
        near = np.moveaxis(np.pad(error, ends, mode="edge"), axis, 0)
        error = np.moveaxis((near[:-2] + 2 * near[1:-1] + near[2:]) / 4, 0, axis)
    return error


def _gain_at(levels: NDArray[np.int64]) -> NDArray[np.float32]:
    gain = _GAIN * np.clip((_FADED_LEVEL - levels) / (_FADED_LEVEL - _FADING_LEVEL), 0, 1)
    return gain.astype(np.float32)


def decoded_pixels(reconstruction: Reconstruction, decoder: Decoder, extension: int = 0) -> NDArray[np.uint8]:
    """uint8[8h, 8w, 3], at the size that is coded."""
    noise = np.zeros(len(reconstruction.latents))
    inputs = DecoderInput(
        reconstruction.latents,
        log_step_map(reconstruction.levels),
        noise,
        reconstruction.conditional_mean,
        extension,
    )
    return decode_tiled(decoder, inputs)


def block_means(rgb: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """int[8h, 8w, 3] to float32[3, h, w]."""
    side = SD1.factor
    height, width = rgb.shape[0] // side, rgb.shape[1] // side
    means: NDArray[np.float32] = rgb.reshape(height, side, width, side, 3).mean((1, 3), dtype=np.float32)
    return means.transpose(2, 0, 1)
