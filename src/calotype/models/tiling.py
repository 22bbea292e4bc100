"""Networks over pictures of any size: tiles with enough overlap that tiled equals untiled.

The input of a tile extends ``margin`` latent positions beyond the part that is kept, clipped at the picture's
border. The margin is the radius of the receptive field, so that the kept part equals the untiled result.
Models without a margin get the whole picture and bound their memory themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.latents import SD1
from calotype.models.protocol import BatchDecoder, BatchEncoder, Decoder, DecoderInput, Encoder, FaceFinder
from calotype.models.windows import (
    Area,
    Window,
    cheapest_parts,
    scale_area,
    shift_area,
    tile_windows,
    whole_area,
)

__all__ = [
    "MAX_POSITIONS",
    "decode_all",
    "decode_tiled",
    "encode_all",
    "encode_tiled",
    "find_faces_tiled",
    "network_windows",
    "pixels_to_unit_range",
]

MAX_POSITIONS = 208 * 208
"""The largest area, in latent positions, over which a network computes its largest activations.

A square picture of 1,664 pixels is not cut. The decoder then takes less than 0.9 GB. Larger windows compute
fewer positions twice, and take more memory.
"""

_FACTOR = SD1.factor


def network_windows(
    size: tuple[int, int], kept: Area, margin: int | None, last_margin: int | None = None
) -> Iterator[Window]:
    """Yields the windows that keep an area of h x w latents, for a network of this margin.

    ``last_margin`` is the margin of its largest activations, None the same one. If the network has no margin,
    there is one window, which reads everything.
    """
    if margin is None:
        return tile_windows([kept[0]], [kept[1]], max(size), size=size)
    last = margin if last_margin is None else last_margin
    rows, columns = cheapest_parts(size, kept, margin, MAX_POSITIONS, last)
    return tile_windows(rows, columns, margin, size=size)


def encode_tiled(encoder: Encoder, rgb: NDArray[np.uint8], extension: int = 0) -> NDArray[np.float32]:
    """Encodes sRGB uint8[8h, 8w, 3] to latents float32[4, h, w].

    The outermost pixels are first repeated by ``extension`` latent positions on every side.
    """
    rgb = _extend_picture(rgb, extension)
    height, width = rgb.shape[0] // _FACTOR, rgb.shape[1] // _FACTOR
    latents = np.empty((SD1.channels, height, width), np.float32)
    for window in network_windows((height, width), whole_area(height, width), encoder.margin):
        pixels = pixels_to_unit_range(rgb[window.scaled(_FACTOR).read])
        latents[:, *window.kept] = encoder.encode(pixels)[:, *window.inner]
    return _crop_latent_extension(latents, extension)


def decode_tiled(decoder: Decoder, inputs: DecoderInput) -> NDArray[np.uint8]:
    """Decodes latents of h x w positions, of which ``part`` are wanted, to sRGB uint8[8h, 8w, 3].

    Time and memory are in proportion to the wanted part and its margin, except for models without a margin.
    """
    rows, columns = _wanted(inputs)
    inputs = _extend_latents(inputs)
    _, height, width = inputs.latents.shape
    # Tiles begin in even rows and columns: networks may work on pairs of latents.
    top, left = rows.start - rows.start % 2, columns.start - columns.start % 2
    kept = slice(top, rows.stop), slice(left, columns.stop)
    rgb = np.empty((_FACTOR * (rows.stop - top), _FACTOR * (columns.stop - left), 3), np.uint8)
    for window in network_windows((height, width), kept, decoder.margin, decoder.last_margin):
        read_rows, read_columns = window.read
        pixels = decoder.decode(
            inputs.latents[:, read_rows, read_columns],
            inputs.log_step[:, read_rows, read_columns],
            inputs.noise,
            inputs.conditional_mean[:, read_rows, read_columns],
            (read_rows.start, read_columns.start),
            window.inner,
        )
        target = scale_area(shift_area(window.kept, -top, -left), _FACTOR)
        rgb[target] = _pixels_to_bytes(pixels)
    return rgb[_FACTOR * (rows.start - top) :, _FACTOR * (columns.start - left) :]


def find_faces_tiled(finder: FaceFinder, latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the probability float32[h, w] that each position of ``latents`` float32[4, h, w] is in a
    face."""
    height, width = latents.shape[1:]
    probability = np.empty((height, width), np.float32)
    for window in network_windows((height, width), whole_area(height, width), finder.margin):
        probability[window.kept] = finder.find(latents[:, *window.read])[window.inner]
    return probability


def encode_all(
    encoder: Encoder, pictures: Sequence[NDArray[np.uint8]], extensions: Sequence[int]
) -> list[NDArray[np.float32]]:
    """Encodes each picture as :func:`encode_tiled`; pictures of equal size pass a batch encoder together."""
    if not isinstance(encoder, BatchEncoder):
        return [encode_tiled(encoder, rgb, by) for rgb, by in zip(pictures, extensions, strict=True)]
    pictures = [_extend_picture(rgb, by) for rgb, by in zip(pictures, extensions, strict=True)]
    latents: dict[int, NDArray[np.float32]] = {}
    for group in _group_by_shape(pictures):
        height, width = (side // _FACTOR for side in pictures[group[0]].shape[:2])
        together = np.empty((len(group), SD1.channels, height, width), np.float32)
        for window in network_windows((height, width), whole_area(height, width), encoder.margin):
            read = window.scaled(_FACTOR).read
            pixels = np.stack([pixels_to_unit_range(pictures[number][read]) for number in group])
            together[:, :, *window.kept] = encoder.encode_batch(pixels)[:, :, *window.inner]
        latents |= zip(group, together, strict=True)
    return [_crop_latent_extension(latents[number], by) for number, by in enumerate(extensions)]


def decode_all(decoder: Decoder, inputs: Sequence[DecoderInput]) -> list[NDArray[np.uint8]]:
    """Decodes each picture as :func:`decode_tiled`; pictures of equal size pass a batch decoder together."""
    if not isinstance(decoder, BatchDecoder):
        return [decode_tiled(decoder, picture) for picture in inputs]
    extended = [_extend_latents(picture) for picture in inputs]
    pictures: dict[int, NDArray[np.uint8]] = {}
    for group in _group_by_shape([picture.latents for picture in extended]):
        pictures |= zip(group, _decode_together(decoder, [extended[number] for number in group]), strict=True)
    return [pictures[number][scale_area(_wanted(picture), _FACTOR)] for number, picture in enumerate(inputs)]


def _decode_together(decoder: BatchDecoder, batch: Sequence[DecoderInput]) -> NDArray[np.uint8]:
    """Decodes n inputs of equal size, without extensions, to sRGB uint8[n, 8h, 8w, 3]."""
    height, width = batch[0].latents.shape[1:]
    rgb = np.empty((len(batch), _FACTOR * height, _FACTOR * width, 3), np.uint8)
    whole = whole_area(height, width)
    for window in network_windows((height, width), whole, decoder.margin, decoder.last_margin):
        read_rows, read_columns = window.read
        pixels = decoder.decode_batch(
            np.stack([picture.latents[:, read_rows, read_columns] for picture in batch]),
            np.stack([picture.log_step[:, read_rows, read_columns] for picture in batch]),
            np.stack([picture.noise for picture in batch]),
            np.stack([picture.conditional_mean[:, read_rows, read_columns] for picture in batch]),
            (read_rows.start, read_columns.start),
            window.inner,
        )
        target = scale_area(window.kept, _FACTOR)
        for picture, decoded in zip(rgb, pixels, strict=True):
            picture[target] = _pixels_to_bytes(decoded)
    return rgb


def _wanted(inputs: DecoderInput) -> Area:
    """Returns the rows and columns of the extended latents whose pixels are wanted."""
    height, width = inputs.latents.shape[1:]
    return shift_area(inputs.part or whole_area(height, width), inputs.extension, inputs.extension)


def _extend_latents(inputs: DecoderInput) -> DecoderInput:
    """Returns the inputs with the outermost latents repeated, with ``extension`` 0 and for the whole."""
    around = ((0, 0), (inputs.extension,) * 2, (inputs.extension,) * 2)
    latents, log_step, conditional_mean = (
        np.pad(array, around, mode="edge") if inputs.extension else array
        for array in (inputs.latents, inputs.log_step, inputs.conditional_mean)
    )
    return DecoderInput(latents, log_step, inputs.noise, conditional_mean)


def _extend_picture(rgb: NDArray[np.uint8], extension: int) -> NDArray[np.uint8]:
    around = (extension * _FACTOR,) * 2
    return np.pad(rgb, (around, around, (0, 0)), mode="edge") if extension else rgb


def _crop_latent_extension(latents: NDArray[np.float32], extension: int) -> NDArray[np.float32]:
    height, width = latents.shape[1:]
    return latents[:, extension : height - extension, extension : width - extension]


def _group_by_shape(arrays: Sequence[NDArray[Any]]) -> list[list[int]]:
    """Returns the indices of ``arrays``, grouped by shape."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, array in enumerate(arrays):
        groups.setdefault(array.shape, []).append(number)
    return list(groups.values())


def pixels_to_unit_range(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Converts uint8[H, W, 3] to float32[3, H, W] in [0, 1]."""
    return rgb.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def _pixels_to_bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Converts float32[3, H, W], nominally in [0, 1], to uint8[H, W, 3]."""
    rgb: NDArray[np.uint8] = np.clip(pixels.transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8)
    return rgb
