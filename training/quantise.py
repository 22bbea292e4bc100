"""The quantiser of ``calotype.latents`` in torch, for training."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNEL_OFFSETS = (1, -1, 3, -3)  # in levels, as in calotype.latents
CHANNEL_WEIGHTS = torch.exp2(torch.tensor(CHANNEL_OFFSETS) / 16).view(1, 4, 1, 1)
"""The step of each channel, relative to that of the level."""


def steps_of(levels: Tensor) -> Tensor:
    """Returns the quantisation steps, in units of a scaled latent, of integer levels: 16 levels double the
    step.
    """
    return torch.exp2(levels.float() / 16 - 5)


def random_levels(count: int, device: torch.device | str = "cpu") -> Tensor:
    """Returns levels int64[N] from 8 to 104 (steps 0.044 to 2.8), most of them from 44 to 104, as in small
    files.
    """
    wide = torch.randint(8, 105, (count,), device=device)
    middle = torch.randint(44, 105, (count,), device=device)
    return torch.where(torch.rand(count, device=device) < 0.2, wide, middle)


def random_lambdas(levels: Tensor) -> Tensor:
    """Returns Lagrangian multipliers float32[N] around that of ``calotype.encoding.rdo``.

    They fall to 0 from level 72 to level 96. A quarter of them is 0, which is plain rounding.
    """
    fade = ((96 - levels.float()) / 24).clamp(0, 1)
    chance = torch.rand((2, len(levels)), device=levels.device)
    return chance[0] * 0.12 * fade * (chance[1] > 0.25)
