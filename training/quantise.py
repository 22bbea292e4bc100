"""The quantiser of ``calotype.latents`` in torch, for training."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNEL_OFFSETS = (1, -1, 3, -3)  # in levels, as in calotype.latents
CHANNEL_WEIGHTS = torch.exp2(torch.tensor(CHANNEL_OFFSETS) / 16).view(1, 4, 1, 1)
"""Step of each channel, relative to the level's."""


def steps_of(levels: Tensor) -> Tensor:
    """Quantisation steps, in scaled-latent units, of integer levels: 16 levels double the step."""
    return torch.exp2(levels.float() / 16 - 5)


def random_levels(count: int, device: torch.device | str = "cpu") -> Tensor:
    """int64[N]: levels 8 to 104 (steps 0.044 to 2.8), most of them 44 to 104, as small files have them."""
    wide = torch.randint(8, 105, (count,), device=device)
    middle = torch.randint(44, 105, (count,), device=device)
    return torch.where(torch.rand(count, device=device) < 0.2, wide, middle)


def random_lambdas(levels: Tensor) -> Tensor:
    """float32[N]: Lagrangian multipliers around that of ``encoding.rdo``, faded out at coarse levels.

    A quarter is 0: plain rounding.
    """
    fade = ((96 - levels.float()) / 24).clamp(0, 1)
    chance = torch.rand((2, len(levels)), device=levels.device)
    return chance[0] * 0.12 * fade * (chance[1] > 0.25)
