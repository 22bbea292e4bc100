"""The quantiser of ``calotype.latents`` in torch, for training."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNEL_OFFSETS = (1, -1, 3, -3)  # in levels, as in calotype.latents
CHANNEL_WEIGHTS = torch.exp2(torch.tensor(CHANNEL_OFFSETS) / 16).view(1, 4, 1, 1)


def steps_of(levels: Tensor) -> Tensor:
    """Quantisation steps, in scaled-latent units, of integer levels: 16 levels to the octave."""
    return 2.0 ** (levels.float() / 16 - 5)


def random_levels(count: int) -> Tensor:
    """int64[N]: levels 8 to 104 (steps 0.044 to 2.8), most of them 40 to 88, as files have them."""
    wide = torch.randint(8, 105, (count,))
    middle = torch.randint(40, 89, (count,))
    return torch.where(torch.rand(count) < 0.25, wide, middle)


def random_strengths(levels: Tensor) -> Tensor:
    """float32[N]: rate-distortion strengths around those of ``calotype.latents.rate``, none for a quarter."""
    fade = ((96 - levels.float()) / 24).clamp(0, 1)
    return torch.rand(len(levels)) * 0.12 * fade * (torch.rand(len(levels)) > 0.25)


def log_step_map(levels: Tensor, latents: Tensor) -> Tensor:
    """log2 of the step at every position, float32[N, 1, h, w]."""
    return steps_of(levels).log2().view(-1, 1, 1, 1).expand(-1, 1, *latents.shape[2:])


def round_trip(latents: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """(dequantised float32[N, 4, h, w], log2 of the step float32[N, 1, h, w])."""
    step = steps_of(levels).view(-1, 1, 1, 1) * CHANNEL_WEIGHTS
    return torch.round(latents / step) * step, log_step_map(levels, latents)
