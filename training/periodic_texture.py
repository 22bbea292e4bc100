"""Measures of periodic texture: texture that repeats in every 8x8 cell, as decoders make it of even
latents."""

from __future__ import annotations

import torch
from torch import Tensor

ALIKE = torch.ones(1, 1, 1, 8, 1, 1, 8, 1)
"""The weight for which all cells count equally."""


def patches(pixels: Tensor) -> Tensor:
    """Returns pixels float32[N, C, H, W] as patches of 8x8 cells of 8x8 pixels, [N, C, H/64, 8, 8, W/64, 8,
    8].
    """
    count, channels, height, width = pixels.shape
    whole = pixels[:, :, : height // 64 * 64, : width // 64 * 64]
    return whole.reshape(count, channels, height // 64, 8, 8, width // 64, 8, 8)


def repeating(pixels: Tensor, weight: Tensor) -> Tensor:
    """Returns the square of the texture that repeats in the cells of a patch, float32[N, C, H/64, 1, 8, W/64,
    1, 8].

    ``weight`` float32[N, 1, H/64, 8, 1, W/64, 8, 1], whose sides may also be 1, is the weight of each cell.
    The square is estimated by the mean product of two *different* cells, to which noise that does not repeat
    contributes nothing.
    """
    cells = patches(pixels)
    cells = (cells - cells.mean((4, 7), keepdim=True)) * weight
    summed, squares = cells.sum((3, 6), keepdim=True).square(), cells.square().sum((3, 6), keepdim=True)
    pairs = weight.sum((3, 6), keepdim=True).square() - weight.square().sum((3, 6), keepdim=True)
    return (summed - squares) / pairs


def excess_texture(shown: Tensor, pixels: Tensor) -> Tensor:
    """Returns by how much more texture repeats in ``shown`` than in ``pixels``, both float32[N, 3, H, W].

    It is the mean of the squared texture of :func:`repeating`. Cells with much texture, which hides a
    pattern, have a small weight.
    """
    with torch.no_grad():
        spread = patches(shown).std((4, 7), keepdim=True).mean(1, keepdim=True)
        weight = 1 / (1 + (spread / 0.03) ** 2)
    excess = repeating(shown, weight) - repeating(pixels, weight)
    return (excess.clamp(min=0) * weight.mean((3, 6), keepdim=True) ** 2).mean()
