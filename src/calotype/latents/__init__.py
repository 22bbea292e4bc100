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
    level_of_deviation,
    level_of_quality,
    log_step_map,
    noise_codes,
    noise_deviations,
    step_of,
)
from calotype.latents.reconstruction import Reconstruction, mean_offsets, reconstruct
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
    "dequantise",
    "level_map",
    "level_of_deviation",
    "level_of_quality",
    "log_step_map",
    "mean_offsets",
    "noise_codes",
    "noise_deviations",
    "reconstruct",
    "step_of",
]
