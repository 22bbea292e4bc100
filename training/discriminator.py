"""A patch discriminator, conditioned on the latents and their step.

It has two kinds of parts. Heads on frozen features of VGG16 distinguish originals from reconstructions after
a few hundred steps (Sauer et al., "Projected GANs Converge Faster", 2021). A small network sees the pixels
(Mentzer et al., "High-Fidelity Generative Image Compression", 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from losses import Vgg
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

STAGES = 4
"""The number of stages of VGG16 with heads: the features of the fifth are smaller than the latents."""

CONDITION = 5
"""Channels of the condition: the four latents and log2 of the step."""


def _conv(cin: int, cout: int, size: int, stride: int = 1) -> nn.Module:
    padding = (size - 1) // 2 if stride == 1 else (size - stride) // 2
    return spectral_norm(nn.Conv2d(cin, cout, size, stride, padding))


class _Head(nn.Module):
    """Maps features, ``reduction`` of them for each latent position along each side, to one score a
    position.
    """

    def __init__(self, features: int, reduction: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = features
        while reduction > 1:
            layers += [_conv(channels, width, 4, 2), nn.LeakyReLU(0.2)]
            channels, reduction = width, reduction // 2
        self.down = nn.Sequential(*layers)
        self.condition = _conv(CONDITION, width // 2, 3)
        self.score = nn.Sequential(
            _conv(channels + width // 2, width, 3), nn.LeakyReLU(0.2), _conv(width, 1, 1)
        )

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        return self.score(torch.cat([self.down(features), self.condition(condition)], 1))


class Discriminator(nn.Module):
    def __init__(self, width: int = 64) -> None:
        """``width`` is the number of channels: 64 on a large GPU, 16 on a processor."""
        super().__init__()
        self.heads = nn.ModuleList(
            _Head(features, 8 >> stage, width) for stage, features in enumerate(Vgg.WIDTHS[:STAGES])
        )
        self.condition = _conv(CONDITION, width // 4, 3)
        self.pixels = nn.Sequential(
            _conv(3 + width // 4, width, 4, 2),
            nn.LeakyReLU(0.2),
            _conv(width, 2 * width, 4, 2),
            nn.LeakyReLU(0.2),
            _conv(2 * width, 4 * width, 4, 2),
            nn.LeakyReLU(0.2),
            _conv(4 * width, 8 * width, 3),
            nn.LeakyReLU(0.2),
            _conv(8 * width, 1, 1),
        )
        self.register_buffer("unit", torch.ones(STAGES))
        self.calibrated = False

    @torch.no_grad()
    def calibrate(self, features: list[Tensor]) -> None:
        """Sets the unit of each stage to the root mean square of its features."""
        for stage, values in enumerate(features[:STAGES]):
            self.unit[stage] = values.float().square().mean().sqrt()
        self.calibrated = True

    def forward(
        self, pixels: Tensor, features: list[Tensor], latents: Tensor, log_step: Tensor
    ) -> list[Tensor]:
        """Returns the scores float[N, 1, h, w] of each part, which are high for originals."""
        condition = torch.cat([latents, log_step], 1)
        scores = [
            head(values / self.unit[stage].to(values.dtype), condition)
            for stage, (head, values) in enumerate(zip(self.heads, features[:STAGES], strict=True))
        ]
        enlarged = F.interpolate(self.condition(condition), scale_factor=8.0, mode="nearest")
        scores.append(self.pixels(torch.cat([2 * pixels - 1, enlarged.to(pixels.dtype)], 1)))
        return scores


def hinge_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Returns the hinge loss, the mean over the parts. It is 2 if the scores do not depend on the picture."""
    parts = [
        F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(parts).mean()


def adversarial_loss(fake: list[Tensor]) -> Tensor:
    """Returns the adversarial loss of the decoder, the mean over the parts."""
    return torch.stack([-f.float().mean() for f in fake]).mean()
