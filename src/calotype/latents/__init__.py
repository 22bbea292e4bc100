"""Latents, real and integer: the latent spaces, the quantiser, rate-distortion decisions, rate control."""

from __future__ import annotations

from calotype.latents.quantiser import (
    COARSEST,
    FINEST,
    LEVEL_OFFSETS,
    STEPS,
    Dequantised,
    channel_steps,
    dequantise,
    dequantise_walked,
    level_map,
    level_of_deviation,
    level_of_quality,
    log_step_map,
    noise_codes,
    noise_deviations,
    step_of,
)
from calotype.latents.rate import Draft, Drafter, fit_size
from calotype.latents.rdo import CASCADES, Chooser
from calotype.latents.space import SD1, SPACES, LatentSpace

__all__ = [
    "CASCADES",
    "COARSEST",
    "FINEST",
    "LEVEL_OFFSETS",
    "SD1",
    "SPACES",
    "STEPS",
    "Chooser",
    "Dequantised",
    "Draft",
    "Drafter",
    "LatentSpace",
    "channel_steps",
    "dequantise",
    "dequantise_walked",
    "fit_size",
    "level_map",
    "level_of_deviation",
    "level_of_quality",
    "log_step_map",
    "noise_codes",
    "noise_deviations",
    "step_of",
]
