"""Losses on pictures: features of VGG16, their local statistics, and errors that are easily visible."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from assets import ASSETS
from safetensors.torch import load_file
from torch import Tensor, nn

WINDOWS = (16, 8, 4, 4, 4)
"""Sides of the windows of the local statistics, in positions of the five stages."""


class Vgg(nn.Module):
    """VGG16 up to relu5_3. It gives features of five stages, at 1, 1/2, 1/4, 1/8 and 1/16 of the size."""

    STAGES = (2, 2, 3, 3, 3)
    WIDTHS = (64, 128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        weights = load_file(ASSETS / "models" / "lpips-alex-vgg" / "perceptual.safetensors")
        for number in range(sum(self.STAGES)):
            self.register_buffer(f"weight{number}", weights[f"vgg.conv{number}.weight"].float())
            self.register_buffer(f"bias{number}", weights[f"vgg.conv{number}.bias"].float())
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``pixels`` float[N, 3, H, W] in [0, 1]."""
        x, number, out = (pixels - self.mean) / self.deviation, 0, []
        for stage, count in enumerate(self.STAGES):
            if stage:
                x = F.max_pool2d(x, 2, 2)
            for _ in range(count):
                weight, bias = getattr(self, f"weight{number}"), getattr(self, f"bias{number}")
                x = F.relu(F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=1))
                number += 1
            out.append(x)
        return out


def feature_distance(shown: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Returns the mean squared difference of features of unit length, summed over the stages."""
    total = torch.zeros((), device=shown[0].device)
    for a, b in zip(shown, wanted, strict=True):
        a, b = (f * (f.float().square().sum(1, keepdim=True) + 1e-8).rsqrt().to(f.dtype) for f in (a, b))
        total = total + (a - b).float().square().sum(1).mean()
    return total


def wasserstein(shown: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Returns the Wasserstein distortion: squared differences of local means and deviations of features.

    Qiu, Wagner, Ballé, Theis: "Wasserstein Distortion", 2024 (arXiv 2412.00505), with windows of one size for
    each stage. Each stage counts relative to the mean square of its features.
    """
    total = torch.zeros((), device=shown[0].device)
    for a, b, window in zip(shown, wanted, WINDOWS, strict=True):
        unit = b.detach().float().square().mean().clamp(min=1e-6)
        (mean_a, deviation_a), (mean_b, deviation_b) = (_local(f, window) for f in (a, b))
        difference = (mean_a - mean_b).square().mean() + (deviation_a - deviation_b).square().mean()
        total = total + difference / unit
    return total


def _local(features: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Returns means and deviations over windows that overlap by half of their side."""
    half = window // 2
    mean = F.avg_pool2d(F.avg_pool2d(features, half).float(), 2, 1)
    square = F.avg_pool2d(F.avg_pool2d(features.float().square(), half), 2, 1)
    return mean, ((square - mean.square()).clamp(min=0) + 1e-4).sqrt()


def visible_faults(pixels: Tensor, shown: Tensor) -> Tensor:
    """Returns the loss of grids, tints and blotches: errors that are small at each pixel and clearly visible.

    A grid is the part of the error that repeats in every 8x8 cell, a tint its mean, and a blotch the part
    that neighbouring cells have in common.
    """
    error = shown - pixels
    count, channels, height, width = error.shape
    cells = error.reshape(count, channels, height // 8, 8, width // 8, 8)
    grid, tint = cells.mean((0, 2, 4)).square().mean(), cells.mean((2, 3, 4, 5)).square().mean()
    blotch = F.avg_pool2d(cells.mean((3, 5)), 2).abs().mean()
    return 100 * grid + 150 * tint + blotch


def latent_distance(latents: Tensor, wanted: Tensor) -> Tensor:
    """Returns the distance of latents float32[N, 4, h, w] from the teacher's.

    It is the mean squared error, plus the errors of mean and deviation of each channel, because these cause
    wrong colours, the most visible error.
    """
    drift = ((latents - wanted).mean((0, 2, 3)) ** 2).sum()
    spread = (latents.std((0, 2, 3)) / wanted.std((0, 2, 3)) - 1).pow(2).sum()
    return ((latents - wanted) ** 2).mean() + 4 * (drift + spread)
