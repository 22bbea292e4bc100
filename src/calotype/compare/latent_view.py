"""Pictures of latents and of the bits that they take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["heat_picture", "latent_picture", "plane_picture"]

# Fitted by least squares on photographs: from latents of TAESD's encoder to mean colours of 8x8 pixels.
_TO_RGB = np.array([[39.9, 31.9, 34.8], [24.1, 34.7, 18.7], [-19.9, 21.4, 27.8], [-32.2, -40.3, -64.4]])
_MEAN = np.array([120.8, 113.9, 101.8])

# From cold to hot with even lightness, so that it is readable in grey and by the colour-blind.
_HEAT = np.array(
    [[13, 8, 40], [74, 16, 92], [139, 34, 98], [199, 62, 78], [241, 110, 46], [252, 180, 60], [252, 250, 190]]
)


def latent_picture(latents: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Converts scaled latents float32[4, h, w] to uint8[h, w, 3]: four channels as three pale colours."""
    rgb = latents.transpose(1, 2, 0) @ _TO_RGB + _MEAN
    return np.asarray(np.clip(rgb + 0.5, 0, 255).astype(np.uint8))


def plane_picture(plane: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Converts one channel [h, w] to grey uint8[h, w, 3]: zero is mid-grey, the largest magnitude black or
    white."""
    values = plane.astype(np.float64)
    peak = max(float(np.abs(values).max()), 1e-9)
    grey = np.floor(127.5 + 127.5 * values / peak + 0.5).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)


def heat_picture(values: NDArray[np.float32], highest: float) -> NDArray[np.uint8]:
    """Converts values [h, w] from 0 (dark) to ``highest`` (bright) to uint8[h, w, 3]."""
    position = np.clip(values / highest, 0, 1) * (len(_HEAT) - 1)
    channels = [np.interp(position, np.arange(len(_HEAT)), _HEAT[:, c]) for c in range(3)]
    return np.asarray(np.stack(channels, -1) + 0.5).astype(np.uint8)
