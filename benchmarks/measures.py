"""The measurements on one picture. Each returns named figures, which are averaged over the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.scene import MODELS, Model, Scene
from calotype.encoding.rate import TrialEncoder
from calotype.entropy import decode_integers
from calotype.latents import CHANNEL_OFFSETS, FINEST, STEPS, log_step_map
from calotype.models import DecoderInput
from calotype.models.tiling import decode_tiled

__all__ = [
    "ENTROPY_LEVELS",
    "MEASURES",
    "PERIOD",
    "channel_sums",
    "even_blocks",
    "fine_texture",
    "grid_profiles",
    "order0_bytes",
]

ENTROPY_LEVELS = {"0.35": 56, "0.5": 64, "1.0": 80}
"""The levels by their nominal steps; the first is exactly 0.354."""

PERIOD = 16
_MAX_DIFFERENCE = 8  # in 1/255; a grid is faint, and larger differences belong to the picture
_MAX_DEVIATION = 3  # of the means of 4x4 pixels in an even block, in 1/255
_MAX_KURTOSIS = 4  # Noise, which is normally distributed, has less; lines and dots have more.


def entropy(scene: Scene) -> dict[str, float]:
    """Returns the bytes of plainly rounded latents: of the rANS payload, and by ideal order-0 entropy."""
    figures = {}
    for model in MODELS:
        encoder = TrialEncoder(scene.latents(model), scene.kit.context, 0.0)
        for step, level in ENTROPY_LEVELS.items():
            trial = encoder.trial(level, 0.0)
            payload = trial.payload()
            levels = np.full(trial.integers.shape[1:], level, np.int64)
            back = decode_integers(scene.kit.context, payload, levels, STEPS, CHANNEL_OFFSETS)
            if not np.array_equal(back.integers, trial.integers):
                raise ValueError(f"the payload at step {step} does not decode to what was coded")
            figures[f"rans-{model}-{step}.bytes"] = len(payload)
            figures[f"order0-{model}-{step}.bytes"] = order0_bytes(trial.integers)
    return figures


def space(scene: Scene) -> dict[str, float]:
    """Returns LPIPS (SqueezeNet) of pocket's file of 5,000 bytes by TAESD's decoder, and moments of
    channels.
    """
    figures = {"file-5000-into-taesd.lpips_sq": scene.kit.lpips(scene.rgb, scene.through_taesd(5000))}
    return figures | channel_sums("pocket", scene) | channel_sums("taesd", scene)


def eye(scene: Scene) -> dict[str, float]:
    """Returns visible faults of the file of 5,000 bytes.

    They are the error of each colour in 1/255 (decoded minus original), grids, and the noise of even areas.
    Patterns that repeat with the latents are measured without quantisation and scaling.
    """
    picture = scene.coded(5000).rgb
    error = picture.astype(np.float64) - scene.rgb
    figures = {f"colour.{name}": float(error[..., channel].mean()) for channel, name in enumerate("rgb")}
    for name, rgb in (("decoded", picture), ("original", scene.rgb)):
        for kind, profile in grid_profiles(rgb).items():
            figures |= {f"{kind}-{name}.{position}": value for position, value in enumerate(profile.tolist())}
    even = even_blocks(scene.rgb)
    figures["even.blocks"] = int(even.sum())
    grain, original = (fine_texture(rgb)[even] for rgb in (picture, scene.rgb))
    unscaled = fine_texture(_not_quantised(scene))[even]
    for name, texture, in_phase in (("decoded", grain, unscaled), ("original", original, original)):
        figures[f"grain-{name}.square"] = float((texture**2).sum())
        figures[f"repeating-{name}.square"] = _repeating(in_phase)
    return figures


MEASURES: Mapping[str, Callable[[Scene], dict[str, float]]] = {
    "entropy": entropy,
    "space": space,
    "eye": eye,
}


def _not_quantised(scene: Scene) -> NDArray[np.uint8]:
    """Returns uint8[H, W, 3] by pocket's decoder from its encoder's latents at the finest level."""
    latents = scene.latents("pocket")
    levels = np.full(latents.shape[1:], FINEST, np.int64)
    return decode_tiled(scene.kit.decoder, DecoderInput(latents, log_step_map(levels), np.zeros(4), latents))


def order0_bytes(integers: NDArray[np.int16]) -> float:
    """Returns the sum of the ideal static order-0 entropies of the channels of int16[C, h, w], in bytes.

    The tables are not counted.
    """
    bits = 0.0
    for channel in integers:
        count = np.unique(channel, return_counts=True)[1]
        bits -= float((count * np.log2(count / channel.size)).sum())
    return bits / 8


def channel_sums(encoder: Model, scene: Scene) -> dict[str, float]:
    """Returns mean and mean square of each latent channel."""
    latents = scene.latents(encoder).astype(np.float64)
    values = {}
    for channel, plane in enumerate(latents):
        values[f"{encoder}-mean.{channel}"] = float(plane.mean())
        values[f"{encoder}-square.{channel}"] = float((plane**2).mean())
    return values


def grid_profiles(rgb: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Returns two figures by position modulo 16, in which a grid is visible: float64[16] each, in 1/255.

    "pattern" is how much brighter a pixel is than its two neighbours, on average, "gradient" the mean
    absolute difference of a pixel and the next; rows and columns of uint8[H, W, 3] together. A grid whose
    period divides 16, in phase with the latents, makes positions differ; in photographs all are alike.
    """
    pattern, gradient = np.zeros(PERIOD), np.zeros(PERIOD)
    for axis in (0, 1):
        lines = np.moveaxis(rgb.astype(np.float64), axis, 0)
        steps = np.diff(lines, axis=0)
        peaks = (steps[:-1] - steps[1:]) / 2  # The first value is that of the second line.
        gradient += _folded(np.abs(steps).clip(max=_MAX_DIFFERENCE)) / 2
        pattern += np.roll(_folded(peaks.clip(-_MAX_DIFFERENCE, _MAX_DIFFERENCE)), 1) / 2
    return {"pattern": pattern, "gradient": gradient}


def fine_texture(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns brightness minus its mean over 5x5 pixels, in blocks: float64[H/16, W/16, 16, 16]."""
    grey = rgb.mean(2)
    smooth = np.lib.stride_tricks.sliding_window_view(np.pad(grey, 2, mode="reflect"), (5, 5)).mean((2, 3))
    return _blocks(grey - smooth)


def even_blocks(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns which blocks of 16x16 pixels are even but for noise: bool[H/16, W/16]."""
    texture, blocks = fine_texture(rgb), _blocks(rgb.mean(2))
    means = blocks.reshape(*blocks.shape[:2], 4, 4, 4, 4).mean((3, 5))
    square = (texture**2).mean((2, 3))
    kurtosis = (texture**4).mean((2, 3)) / np.maximum(square**2, 1e-9)
    brightness = means.mean((2, 3))
    clipped = (brightness < 20) | (brightness > 235)
    even: NDArray[np.bool_] = (
        (means.std((2, 3)) < _MAX_DEVIATION) & (kurtosis < _MAX_KURTOSIS) & (square > 0) & ~clipped
    )
    return even


def _blocks(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Converts float64[H, W] to [H/16, W/16, 16, 16]."""
    height, width = plane.shape[0] // 16, plane.shape[1] // 16
    return plane.reshape(height, 16, width, 16).swapaxes(1, 2)


def _repeating(blocks: NDArray[np.float64]) -> float:
    """Returns the sum of squares of the part of float64[n, 16, 16] that repeats every 8 pixels in all
    blocks.
    """
    cell = blocks.reshape(-1, 2, 8, 2, 8).mean((0, 1, 3)) if len(blocks) else np.zeros((8, 8))
    return float((cell**2).sum() * 4 * len(blocks))


def _folded(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the means of float64[n, ...] by the first index modulo 16."""
    whole = len(lines) // PERIOD * PERIOD
    return lines[:whole].reshape(-1, PERIOD, lines[0].size).mean((0, 2))
