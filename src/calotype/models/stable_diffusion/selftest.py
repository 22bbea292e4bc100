"""A self-test of a model's weights.

A synthetic picture is encoded and decoded by the autoencoder. Its latents are then given
the noise of a quantiser, and the U-Net must remove part of it. The bounds are wide: they detect
weights that are damaged, mixed up or of another model, but do not measure quality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.latents import SD1
from calotype.models.stable_diffusion.catalogue import FetchedModel
from calotype.models.stable_diffusion.model import open_decoder, open_encoder, weights_locations
from calotype.models.stable_diffusion.networks import choose_backend, load_network
from calotype.models.stable_diffusion.noise import normal_deviates
from calotype.options import DiffusionOptions

__all__ = ["Check", "sample_picture", "self_test"]

_NOISE = 0.3
"""Deviation of the noise that the U-Net must reduce, in scaled-latent units: a step of about 1."""


@dataclass(frozen=True)
class Check:
    """One check: its subject, the measured and the expected value, and whether it passed."""

    name: str
    found: str
    expected: str
    ok: bool


def sample_picture(side: int = 256) -> NDArray[np.float32]:
    """Returns a picture of shading, discs, an edge and texture: float32[3, side, side] in [0, 1]."""
    y, x = np.mgrid[0:side, 0:side] / side
    picture = np.stack([0.25 + 0.5 * x, 0.3 + 0.4 * y, 0.7 - 0.4 * x * y])
    for row, column, radius, colour in (
        (0.3, 0.3, 0.18, (0.8, 0.3, 0.2)),
        (0.65, 0.7, 0.22, (0.2, 0.5, 0.3)),
    ):
        disc = np.clip((radius - np.hypot(y - row, x - column)) * side / 2 + 0.5, 0, 1)
        picture += disc * (np.array(colour)[:, None, None] - picture)
    picture += 0.06 * np.sin(40 * x + 9 * y) * (y > 0.85)
    clipped: NDArray[np.float32] = np.clip(picture, 0, 1).astype(np.float32)
    return clipped


def self_test(source: FetchedModel, options: DiffusionOptions) -> Iterator[Check]:
    """Runs the checks one after the other. Raises :class:`ModelError` if the model cannot be loaded."""
    backend = choose_backend(options)
    (_, location), _ = weights_locations(source, options)
    for part in source.parts:
        if part.name in ("vae", "unet", "taesd"):
            network = load_network(location, source, part, backend)
            count = sum(parameter.numel() for parameter in network.module.parameters())
            yield Check(
                f"weights of {part.name}", f"{count:,}", f"{part.parameters:,}", count == part.parameters
            )
            del network
    picture = sample_picture()
    log_step = np.zeros((1, picture.shape[1] // SD1.factor, picture.shape[2] // SD1.factor), np.float32)
    latents = open_encoder(source, options, None).encode(picture)
    deviation = float(latents.std())
    yield Check("deviation of the latents", f"{deviation:.2f}", "0.4 to 1.6", 0.4 <= deviation <= 1.6)
    decoder = open_decoder(source, options, None)
    back = decoder.decode(latents, log_step, np.zeros(SD1.channels))
    error = float(np.mean((np.clip(back, 0, 1) - picture) ** 2))
    quality = float(10 * np.log10(1 / max(error, 1e-10)))
    yield Check("picture there and back", f"{quality:.1f} dB", "at least 22 dB", quality >= 22)
    if source.root:
        return
    noisy = latents + np.float32(_NOISE) * normal_deviates(1, latents.shape)
    (clean,) = decoder.denoised(noisy[None], log_step[None], np.full((1, SD1.channels), _NOISE))
    share = float(np.mean((clean - latents) ** 2) / np.mean((noisy - latents) ** 2))
    yield Check("noise left by the U-Net", f"{100 * share:.0f} %", "less than 70 %", share < 0.7)
