"""A critic of pictures that looks at them through the features that LPIPS uses.

After Sauer et al., "Projected GANs Converge Faster", 2021: small heads on a fixed network. Pictures are
judged against their originals (the relativistic pairing of Jolicoeur-Martineau, 2018).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS = (64, 128, 256, 384)  # of the maps at 1/2, 1/4, 1/8 and 1/16 of the size
WIDTH = 32


class Critic(nn.Module):
    """How genuine each place looks: a head for each map."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(channels, WIDTH, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(WIDTH, 1, 1)),
            )
            for channels in CHANNELS
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [head(_even(map_)) for head, map_ in zip(self.heads, features, strict=False)]


def _even(map_: Tensor) -> Tensor:
    """With a root mean square of 1 in each picture: the maps differ a hundredfold."""
    return map_ / map_.square().mean((1, 2, 3), keepdim=True).add(1e-6).sqrt()


def preferred(better: list[Tensor], worse: list[Tensor]) -> Tensor:
    """Small where every place of the first looks more genuine than the same place of the second."""
    return torch.stack([F.softplus(b - a).mean() for a, b in zip(better, worse, strict=True)]).mean()
