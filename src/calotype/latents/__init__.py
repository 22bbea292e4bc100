"""Latents: the latent spaces, the quantiser, reconstruction, and the palette coding of 2022."""

from __future__ import annotations

from calotype.latents.quantiser import (
    CHANNEL_OFFSETS,
    COARSEST,
    FINEST,
    STEPS,
    channel_steps,
    dequantise,
    level_map,
    level_of_quality,
    level_of_rounding_error,
    log_step_map,
    noise_codes,
    noise_deviations,
    step_of_level,
)
from calotype.latents.reconstruction import Reconstruction, conditional_mean_offsets, reconstruct_latents
from calotype.latents.space import SD1, SPACES, LatentSpace

__all__ = [
    "CHANNEL_OFFSETS",
    "COARSEST",
    "FINEST",
    "SD1",
    "SPACES",
    "STEPS",
    "LatentSpace",
    "Reconstruction",
    "channel_steps",
    "conditional_mean_offsets",
    "dequantise",
    "level_map",
    "level_of_quality",
    "level_of_rounding_error",
    "log_step_map",
    "noise_codes",
    "noise_deviations",
    "reconstruct_latents",
    "step_of_level",
]
