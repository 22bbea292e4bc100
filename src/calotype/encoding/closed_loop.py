"""Closed-loop encoding (analysis by synthesis): the encoder decodes its latents and corrects them.

::

    candidate ─ round-trip correction ─┬─ quantiser ─ decoder ─ colour error ─┐
                                       └─────────── colour correction ────────┘

A round trip through decoder D and encoder E attenuates the latents z = E(x) of a picture x. The round-trip
correction adds the loss beforehand, scaled by a gain g: z + g (z - E(D(z))). This is one step of van
Cittert's iteration for deconvolution ("Zum Einfluß der Spaltbreite auf die Intensitätsverteilung in
Spektrallinien", 1931). It takes one decode and one encode.

A coarse quantiser leaves colour errors over tens of pixels, which are visible as tints and blotches. The
encoder measures the colour error in the decoded picture and moves the latents against it. A correction
smaller than the quantiser's step still has an effect, because the quantiser diffuses its errors
(``encoding.rdo``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.candidate import Candidate, code_latents, requantised
from calotype.encoding.plan import Plan
from calotype.errors import TargetSizeError
from calotype.latents import FINEST, SD1, Reconstruction, log_step_map
from calotype.models import Decoder, DecoderInput, Encoder
from calotype.models.tiling import decode_tiled, encode_tiled

__all__ = [
    "colour_corrected",
    "colour_error",
    "decoded_pixels",
    "has_visible_tints",
    "mean_block_colours",
    "round_trip_corrected",
    "with_corrected_colours",
]

_GAIN = 0.3
"""Gain of the round-trip correction. With a larger gain, or more iterations, other decoders of the space give
worse pictures."""

_FULL_GAIN_LEVEL, _NO_GAIN_LEVEL = 76, 92
"""Levels between which the gain of the round-trip correction falls linearly to 0: coarser steps hide it."""

_TINTED_LEVEL = 64
"""The level above which colour errors of a file without closed-loop encoding are visible."""

_ROUNDS = 2
"""Iterations of the colour correction. Each makes a file 1 % larger; a third one does not pay at equal
bytes."""

_COLOUR_GAIN = 0.5
"""Gain of the colour correction; with a larger gain the iterations oscillate."""

_LATENTS_PER_COLOUR = np.array(
    [
        [0.00813, 0.00364, -0.02014, -0.00278],
        [0.00734, 0.01927, 0.01725, 0.01066],
        [-0.00302, -0.00947, 0.00311, -0.01678],
    ],
    np.float32,
)
"""The change of the four ``sd1`` latents for a change of 1/255 in red, green or blue over a whole picture.

It was fitted by least squares to 18 shifts of six photographs on which no network was trained.
"""


def has_visible_tints(candidate: Candidate) -> bool:
    """Returns whether colour errors are visible at the candidate's level."""
    return candidate.header.level > _TINTED_LEVEL


def with_corrected_colours(
    candidate: Candidate, rgb: NDArray[np.uint8], plan: Plan, encoder: Encoder, decoder: Decoder
) -> Candidate:
    """Returns the candidate with colours nearer to those of ``rgb`` uint8[8h, 8w, 3], at the same rate.

    The latents of ``candidate`` must come from ``encoder``. They get the round-trip correction first, if
    it is in the plan. It returns ``candidate`` itself if the colour error does not fall, or if the target
    size cannot be met.
    """
    latents = candidate.latents
    extension = candidate.header.extension
    error = before = colour_error(rgb, candidate.reconstruction, decoder, extension)
    if plan.round_trip:
        gain = _round_trip_gain(candidate.reconstruction.levels)
        latents = round_trip_corrected(encoder, decoder, latents, gain, extension)
        error = colour_error(rgb, requantised(latents, candidate, plan.rdo), decoder, extension)
    for rounds_left in reversed(range(_ROUNDS)):
        latents = colour_corrected(latents, error)
        if rounds_left:
            error = colour_error(rgb, requantised(latents, candidate, plan.rdo), decoder, extension)
    header = candidate.header
    try:
        corrected = code_latents(
            latents, header, candidate.chunks, candidate.rate, plan.rdo, first_level=header.level
        )
    except TargetSizeError:  # The corrected latents need a few bytes more.
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
    """Applies the round-trip correction to latents float32[4, h, w] of ``encoder``.

    ``gain`` multiplies the loss of a round trip; it is a number or float32[h, w]. For ``extension`` see
    :class:`DecoderInput`.
    """
    if not np.any(gain):
        return latents
    levels = np.full(latents.shape[1:], FINEST, np.int64)
    decoded = decoded_pixels(Reconstruction(latents, levels, conditional_mean=latents), decoder, extension)
    loss = latents - encode_tiled(encoder, decoded, extension)
    corrected: NDArray[np.float32] = latents + np.asarray(gain, np.float32) * loss
    return corrected


def colour_corrected(latents: NDArray[np.float32], error: NDArray[np.float32]) -> NDArray[np.float32]:
    """Moves latents float32[4, h, w] against the colour error, by ``_COLOUR_GAIN`` of it.

    ``error`` is float32[3, h, w], in units of 1/255 of red, green and blue.
    """
    shift = np.tensordot(_LATENTS_PER_COLOUR, error, axes=(0, 0))
    moved: NDArray[np.float32] = latents + np.float32(_COLOUR_GAIN) * shift
    return moved


def colour_error(
    rgb: NDArray[np.uint8], reconstruction: Reconstruction, decoder: Decoder, extension: int = 0
) -> NDArray[np.float32]:
    """Returns the error of the mean colours of 8x8 pixels, smoothed over neighbouring blocks.

    The result is float32[3, h, w], original minus decoded picture, in units of 1/255.
    """
    error = mean_block_colours(rgb) - mean_block_colours(decoded_pixels(reconstruction, decoder, extension))
    for axis in (1, 2):
        ends = [(1, 1) if axis == other_axis else (0, 0) for other_axis in range(3)]
        padded = np.moveaxis(np.pad(error, ends, mode="edge"), axis, 0)
        error = np.moveaxis((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, 0, axis)
    return error


def _round_trip_gain(levels: NDArray[np.int64]) -> NDArray[np.float32]:
    gain = _GAIN * np.clip((_NO_GAIN_LEVEL - levels) / (_NO_GAIN_LEVEL - _FULL_GAIN_LEVEL), 0, 1)
    return gain.astype(np.float32)


def decoded_pixels(reconstruction: Reconstruction, decoder: Decoder, extension: int = 0) -> NDArray[np.uint8]:
    """Decodes a reconstruction to pixels uint8[8h, 8w, 3], at the coded size."""
    noise = np.zeros(len(reconstruction.latents))
    inputs = DecoderInput(
        reconstruction.latents,
        log_step_map(reconstruction.levels),
        noise,
        reconstruction.conditional_mean,
        extension,
    )
    return decode_tiled(decoder, inputs)


def mean_block_colours(rgb: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Returns the mean colours float32[3, h, w] of the blocks of pixels int[8h, 8w, 3]."""
    side = SD1.factor
    height, width = rgb.shape[0] // side, rgb.shape[1] // side
    means: NDArray[np.float32] = rgb.reshape(height, side, width, side, 3).mean((1, 3), dtype=np.float32)
    return means.transpose(2, 0, 1)
