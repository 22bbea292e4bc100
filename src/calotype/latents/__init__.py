"""Latents: the latent spaces, the quantiser, reconstruction, and the palette coding of 2022.

What is imported here is loaded at its first use: levels and spaces need no numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calotype.lazy import lazy_names

if TYPE_CHECKING:
    from calotype.latents.levels import (
        COARSEST,
        FINEST,
        level_of_quality,
        level_of_rounding_error,
        step_of_level,
    )
    from calotype.latents.quantiser import (
        CHANNEL_OFFSETS,
        STEPS,
        channel_steps,
        dequantise,
        level_map,
        log_step_map,
        noise_codes,
        noise_deviations,
    )
    from calotype.latents.reconstruction import Reconstruction, conditional_mean_offsets, reconstruct_latents
    from calotype.latents.space import SD1, SPACES, LatentSpace
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "levels": ("COARSEST", "FINEST", "level_of_quality", "level_of_rounding_error", "step_of_level"),
            "quantiser": (
                "CHANNEL_OFFSETS",
                "STEPS",
                "channel_steps",
                "dequantise",
                "level_map",
                "log_step_map",
                "noise_codes",
                "noise_deviations",
            ),
            "reconstruction": ("Reconstruction", "conditional_mean_offsets", "reconstruct_latents"),
            "space": ("SD1", "SPACES", "LatentSpace"),
        },
    )

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
