"""Pictures of an eighth and a sixteenth of the size, from latents, without the decoder network.

The mean colour of 8x8 pixels follows approximately from their latent, and more accurately from its neighbours
and the quantiser's step as well. A network of a few thousand weights computes the mean from these::

    conditional means, log_step ─ 3x3 convolution ─ ReLU ─ dense ─ ReLU ─ dense ─ sRGB

For the sixteenth there is a second set of weights, for every second row and column of the latents, which
are coded before the others.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.windows import Area, Window, tile_windows

__all__ = ["ThumbnailNetwork"]

_SPACINGS = (1, 2)
_SIDE, _REACH = 3, 1
_STRIP_POSITIONS = 1 << 16
"""The number of positions that are computed together; their activations take about 50 MB."""


class ThumbnailNetwork:
    """The thumbnail networks of a latent space, which threads may share."""

    def __init__(self, data: bytes) -> None:
        """``data`` is an ``.npz`` file with ``weight_S_L`` float16[outputs, inputs] and ``bias_S_L``
        float16[outputs] for the spacings S = 1, 2 and the layers L = 0, 1, 2.

        The inputs of layer 0 are, channel by channel, the 3x3 positions. Raises :class:`ModelError`.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
            self._layers = {spacing: list(_thumbnail_layers(arrays, spacing)) for spacing in _SPACINGS}
        except (
            Exception
        ) as error:  # NumPy and zipfile raise exceptions of many types for files of other formats.
            raise ModelError(f"the thumbnail network's file is damaged: {error}") from error

    def picture(
        self,
        conditional_mean: NDArray[np.float32],
        log_step: NDArray[np.float32],
        spacing: int,
        part: Area,
    ) -> NDArray[np.uint8]:
        """Returns sRGB uint8[rows, columns, 3] of a ``part``, the mean colours of 8x8 (16x16) pixels.

        ``conditional_mean`` float32[4, h, w] and ``log_step`` float32[1, h, w]: see :class:`Decoder`, of
        every latent for a ``spacing`` of 1, of every second row and column for 2.
        """
        (window,) = tile_windows([part[0]], [part[1]], _REACH, size=log_step.shape[1:])
        planes = np.concatenate([conditional_mean[:, *window.read], log_step[:, *window.read]])
        padded = _with_border(planes, window)
        height, width = (axis.stop - axis.start for axis in part)
        rgb = np.empty((height, width, 3), np.uint8)
        rows = max(1, _STRIP_POSITIONS // width)
        for top in range(0, height, rows):
            strip = padded[:, top : top + rows + 2 * _REACH]
            rgb[top : top + rows] = self._strip(strip, spacing)
        return rgb

    def _strip(self, padded: NDArray[np.float32], spacing: int) -> NDArray[np.uint8]:
        """Computes float32[5, h + 2, w + 2] to uint8[h, w, 3]."""
        around = sliding_window_view(padded, (_SIDE, _SIDE), axis=(1, 2))
        height, width = around.shape[1:3]
        x: NDArray[Any] = around.transpose(1, 2, 0, 3, 4).reshape(height * width, -1)
        *hidden, (weight, bias) = self._layers[spacing]
        for inner_weight, inner_bias in hidden:
            x = np.maximum(x @ inner_weight.T + inner_bias, 0)
        rgb: NDArray[np.uint8] = np.clip((x @ weight.T + bias) * 255 + 0.5, 0, 255).astype(np.uint8)
        return rgb.reshape(height, width, 3)


def _with_border(planes: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Repeats the outermost values of a window where it has no margin, at the border of the picture."""
    around = [
        (_REACH - inner.start, _REACH - (read.stop - read.start - inner.stop))
        for read, inner in zip(window.read, window.inner, strict=True)
    ]
    return np.pad(planes, ((0, 0), *around), mode="edge")


def _thumbnail_layers(
    arrays: dict[str, NDArray[np.float32]], spacing: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yields (weight, bias) of each layer of one network. Raises ``KeyError`` and ``ValueError``."""
    inputs = 5 * _SIDE**2
    for layer in range(3):
        weight, bias = arrays[f"weight_{spacing}_{layer}"], arrays[f"bias_{spacing}_{layer}"]
        outputs = 3 if layer == 2 else len(bias)
        if weight.shape != (outputs, inputs) or bias.shape != (outputs,):
            raise ValueError(f"layer {layer} has weights of shape {weight.shape}")
        inputs = outputs
        yield weight, bias
