"""Texture that repeats in every 8x8 cell, as a decoder makes it of even latents: how much of it there is."""

from __future__ import annotations

import torch
from torch import Tensor

ALIKE = torch.ones(1, 1, 1, 8, 1, 1, 8, 1)
"""A weight with which each cell counts the same."""


def patches(pixels: Tensor) -> Tensor:
    """float32[N, C, H, W] as [N, C, H/64, 8, 8, W/64, 8, 8]: patches of 8x8 cells of 8x8 pixels."""
    count, channels, height, width = pixels.shape
    whole = pixels[:, :, : height // 64 * 64, : width // 64 * 64]
    return whole.reshape(count, channels, height // 64, 8, 8, width // 64, 8, 8)


def repeating(pixels: Tensor, weight: Tensor) -> Tensor:
    """Square of what repeats in the cells of a patch, float32[N, C, H/64, 1, 8, W/64, 1, 8].

    ``weight`` float32[N, 1, H/64, 8, 1, W/64, 8, 1], or 1 where that is, says how much each cell counts. It
    is the mean of the product of two *different* cells: grain that does not repeat adds nothing to it.
    """
    cells = patches(pixels)
    cells = (cells - cells.mean((4, 7), keepdim=True)) * weight
    summed, squares = cells.sum((3, 6), keepdim=True).square(), cells.square().sum((3, 6), keepdim=True)
    pairs = weight.sum((3, 6), keepdim=True).square() - weight.square().sum((3, 6), keepdim=True)
    return (summed - squares) / pairs


def weave(shown: Tensor, pixels: Tensor) -> Tensor:
    """The mean of what repeats in ``shown`` beyond what does in ``pixels``, both float32[N, 3, H, W].

    Cells count for less where texture hides a pattern.
    """
    with torch.no_grad():
        spread = patches(shown).std((4, 7), keepdim=True).mean(1, keepdim=True)
        weight = 1 / (1 + (spread / 0.03) ** 2)
    excess = repeating(shown, weight) - repeating(pixels, weight)
    return (excess.clamp(min=0) * weight.mean((3, 6), keepdim=True) ** 2).mean()
