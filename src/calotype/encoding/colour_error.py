"""The colour error of a candidate: the encoder decodes its own latents and compares mean colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.container import Header
from calotype.encoding.prepare import pad_to_latent_blocks
from calotype.latents import SD1, Reconstruction, log_step_map
from calotype.models import Decoder, DecoderInput
from calotype.models.tiling import decode_tiled

__all__ = [
    "LATENTS_PER_COLOUR",
    "ColourError",
    "block_colour_error",
    "decoded_pixels",
    "mean_block_colours",
    "smooth_colour_error",
]

ColourError = NDArray[np.float32]
"""float32[3, h, w]: mean red, green and blue of 8x8 pixels, original minus decoded, in units of 1/255."""


LATENTS_PER_COLOUR = np.array(
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


def decoded_pixels(reconstruction: Reconstruction, decoder: Decoder, extension: int = 0) -> NDArray[np.uint8]:
    """Decodes a reconstruction to pixels uint8[8h, 8w, 3], at the coded size."""
    inputs = DecoderInput(
        reconstruction.latents,
        log_step_map(reconstruction.levels),
        np.zeros(len(reconstruction.latents)),
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


def smooth_colour_error(rgb: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> ColourError:
    """Returns the colour error of pixels uint8[8h, 8w, 3] against ``rgb``, smoothed over neighbouring
    blocks."""
    error = mean_block_colours(rgb) - mean_block_colours(decoded)
    for axis in (1, 2):
        padding = [(1, 1) if axis == other_axis else (0, 0) for other_axis in range(3)]
        padded = np.moveaxis(np.pad(error, padding, mode="edge"), axis, 0)
        error = np.moveaxis((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, 0, axis)
    return error


def block_colour_error(
    rgb: NDArray[np.uint8], reconstruction: Reconstruction, decoder: Decoder, header: Header
) -> ColourError:
    """Returns the colour error against ``rgb`` uint8[8h, 8w, 3] over those pixels that are shown.

    In blocks that reach beyond the coded size of ``header``, the last pixels that are shown are repeated.
    """
    width, height = header.coded_size
    error = rgb.astype(np.int16) - decoded_pixels(reconstruction, decoder, header.extension)
    return mean_block_colours(pad_to_latent_blocks(error[:height, :width]))
