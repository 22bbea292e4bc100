"""What is measured on one picture: each measurement gives named figures, to be averaged over the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.scene import FileRate, Model, Rate, Scene
from calotype.encoding.plan import EFFORTS
from calotype.encoding.rate import TrialEncoder
from calotype.entropy import decode_integers
from calotype.latents import CHANNEL_OFFSETS, STEPS, log_step_map, reconstruct
from calotype.models import DecoderInput
from calotype.models.tiling import decode_tiled
from calotype.options import DEFAULT_EFFORT

__all__ = [
    "ENTROPY_LEVELS",
    "MEASURES",
    "PERIOD",
    "RDO_LEVELS",
    "channel_sums",
    "even_blocks",
    "fine_texture",
    "grid_profiles",
    "order0_bytes",
]

ENTROPY_LEVELS = {"0.35": 56, "0.5": 64, "0.7": 72, "1.0": 80, "1.4": 88}
"""Level by nominal step; the steps are really 0.354, 0.5, 0.707, 1 and 1.414."""

RDO_LEVELS = (48, 56, 64, 72, 80, 88)
"""From about 6 kB to 2 kB at 512x512."""

PERIOD = 16
_STRONGEST = 8  # of a difference, in 1/255: a grid is faint, and what is stronger belongs to the picture
_EVEN = 3  # how far the means of 4x4 pixels of an even block may deviate, in 1/255
_TAILED = 4  # kurtosis that grain, which is normally distributed, does not reach, but lines and dots do


# Name, encoder, rate, decoder.
_FILES: tuple[tuple[str, Model, FileRate, Model], ...] = (
    ("calotype-5000", "pocket", 5000, "pocket"),
    ("calotype-2500", "pocket", 2500, "pocket"),
    ("taesd-decoder-5000", "pocket", 5000, "taesd"),
    ("recipe-taesd", "taesd", "2022", "taesd"),
    ("recipe-pocket", "pocket", "2022", "pocket"),
)
_ROUND_TRIPS: tuple[tuple[str, Model, Rate, Model], ...] = (
    ("taesd-taesd-finest", "taesd", "finest", "taesd"),
    ("taesd-pocket-finest", "taesd", "finest", "pocket"),
    ("taesd-taesd-exact", "taesd", "exact", "taesd"),
    ("taesd-pocket-exact", "taesd", "exact", "pocket"),
    ("pocket-pocket-exact", "pocket", "exact", "pocket"),
)
_INTO_TAESD: tuple[tuple[Model, Rate], ...] = (
    ("pocket", "exact"),
    ("taesd", "exact"),
    ("pocket", 5000),
    ("taesd", 5000),
)


def opinion(scene: Scene) -> dict[str, float]:
    """All metrics for pocket's files, for TAESD on the same integers, for the recipe of 2022."""
    found: dict[str, float] = {}
    for name, encoder, rate, decoder in _FILES:
        found[f"{name}.bytes"] = len(scene.file(encoder, rate))
        found |= scene.figures(name, scene.picture(encoder, rate, decoder), *scene.kit.metrics)
    return found


def ceiling(scene: Scene) -> dict[str, float]:
    """LPIPS and PSNR of what the networks do to latents that are hardly quantised, or not at all."""
    found: dict[str, float] = {}
    for name, *way in _ROUND_TRIPS:
        found |= scene.figures(name, scene.picture(*way), "lpips", "psnr")
    return found


def entropy(scene: Scene) -> dict[str, float]:
    """Bytes of TAESD's latents, rounded plainly: as rANS payload and by ideal order-0 entropy."""
    found = {}
    encoder = TrialEncoder(scene.latents("taesd"), scene.kit.context, 0.0)
    for step, level in ENTROPY_LEVELS.items():
        trial = encoder.trial(level, 0.0)
        payload = trial.payload()
        levels = np.full(trial.integers.shape[1:], level, np.int64)
        back = decode_integers(scene.kit.context, payload, levels, STEPS, CHANNEL_OFFSETS)
        if not np.array_equal(back.integers, trial.integers):
            raise ValueError(f"the payload at step {step} does not decode to what was coded")
        found[f"rans-{step}.bytes"] = len(payload)
        found[f"order0-{step}.bytes"] = order0_bytes(trial.integers)
    return found


def rdo(scene: Scene) -> dict[str, float]:
    """Bytes and LPIPS along the levels, rounded plainly and as the default effort does."""
    found = {}
    latents, context = scene.latents("pocket"), scene.kit.context
    ways = {"plain": TrialEncoder(latents, context, 0.0)}
    rdo_of_default = EFFORTS[DEFAULT_EFFORT].rdo
    ways["rdo"] = TrialEncoder(
        latents, context, rdo_of_default.lambda_, error_diffusion=rdo_of_default.error_diffusion
    )
    for level in RDO_LEVELS:
        for name, encoder in ways.items():
            trial = encoder.trial(level)
            levels = np.full(trial.integers.shape[1:], level, np.int64)
            made = reconstruct(trial.coded, levels)
            coded = DecoderInput(made.latents, log_step_map(levels), np.zeros(4), made.conditional_mean)
            picture = decode_tiled(scene.kit.decoder, coded)
            found[f"{name}-{level}.bytes"] = len(trial.payload())
            found |= scene.figures(f"{name}-{level}", picture, "lpips")
    return found


def space(scene: Scene) -> dict[str, float]:
    """LPIPS of TAESD's decoder on pocket's latents and on its own, and the moments of each channel."""
    found: dict[str, float] = {}
    for encoder, rate in _INTO_TAESD:
        picture = scene.picture(encoder, rate, "taesd")
        found |= scene.figures(f"{encoder}-into-taesd-{rate}", picture, "lpips")
    return found | channel_sums("pocket", scene) | channel_sums("taesd", scene)


def eye(scene: Scene) -> dict[str, float]:
    """At 5,000 bytes: colour error of each channel in 1/255, decoded minus original, grids, and grain.

    What repeats with the latents is looked for where nothing is quantised or scaled.
    """
    picture = scene.picture("pocket", 5000, "pocket")
    error = picture.astype(np.float64) - scene.rgb
    found = {f"colour.{name}": float(error[..., channel].mean()) for channel, name in enumerate("rgb")}
    for name, rgb in (("decoded", picture), ("original", scene.rgb)):
        for kind, profile in grid_profiles(rgb).items():
            found |= {f"{kind}-{name}.{at}": value for at, value in enumerate(profile.tolist())}
    even = even_blocks(scene.rgb)
    found["even.blocks"] = int(even.sum())
    grain, original = (fine_texture(rgb)[even] for rgb in (picture, scene.rgb))
    unscaled = fine_texture(scene.picture("pocket", "exact", "pocket"))[even]
    for name, texture, in_phase in (("decoded", grain, unscaled), ("original", original, original)):
        found[f"grain-{name}.square"] = float((texture**2).sum())
        found[f"repeating-{name}.square"] = _repeating(in_phase)
    return found


MEASURES: Mapping[str, Callable[[Scene], dict[str, float]]] = {
    "opinion": opinion,
    "ceiling": ceiling,
    "entropy": entropy,
    "rdo": rdo,
    "space": space,
    "eye": eye,
}


def order0_bytes(integers: NDArray[np.int16]) -> float:
    """The ideal static order-0 entropy of each channel of int16[C, h, w], in bytes, tables not counted."""
    bits = 0.0
    for channel in integers:
        count = np.unique(channel, return_counts=True)[1]
        bits -= float((count * np.log2(count / channel.size)).sum())
    return bits / 8


def channel_sums(encoder: Model, scene: Scene) -> dict[str, float]:
    """Mean and mean square of each latent channel."""
    latents = scene.latents(encoder).astype(np.float64)
    found = {}
    for channel, plane in enumerate(latents):
        found[f"{encoder}-mean.{channel}"] = float(plane.mean())
        found[f"{encoder}-square.{channel}"] = float((plane**2).mean())
    return found


def grid_profiles(rgb: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Where a grid would show: two figures by position modulo 16, float64[16] each in 1/255.

    "pattern" is how much brighter a pixel is than its two neighbours, on average, "gradient" the mean
    absolute difference of a pixel and the next; rows and columns of uint8[H, W, 3] together. A grid whose
    period divides 16, in phase with the latents, makes positions differ; in photographs all are alike.
    """
    pattern, gradient = np.zeros(PERIOD), np.zeros(PERIOD)
    for axis in (0, 1):
        lines = np.moveaxis(rgb.astype(np.float64), axis, 0)
        steps = np.diff(lines, axis=0)
        peaks = (steps[:-1] - steps[1:]) / 2  # the first is that of the second line
        gradient += _folded(np.abs(steps).clip(max=_STRONGEST)) / 2
        pattern += np.roll(_folded(peaks.clip(-_STRONGEST, _STRONGEST)), 1) / 2
    return {"pattern": pattern, "gradient": gradient}


def fine_texture(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness less its mean over 5x5 pixels, in blocks: uint8[H, W, 3] to float64[H/16, W/16, 16, 16]."""
    grey = rgb.mean(2)
    smooth = np.lib.stride_tricks.sliding_window_view(np.pad(grey, 2, mode="reflect"), (5, 5)).mean((2, 3))
    return _blocks(grey - smooth)


def even_blocks(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which blocks of 16x16 pixels hold nothing but an even area and its grain: bool[H/16, W/16]."""
    texture, blocks = fine_texture(rgb), _blocks(rgb.mean(2))
    means = blocks.reshape(*blocks.shape[:2], 4, 4, 4, 4).mean((3, 5))
    square = (texture**2).mean((2, 3))
    kurtosis = (texture**4).mean((2, 3)) / np.maximum(square**2, 1e-9)
    brightness = means.mean((2, 3))
    clipped = (brightness < 20) | (brightness > 235)
    even: NDArray[np.bool_] = (means.std((2, 3)) < _EVEN) & (kurtosis < _TAILED) & (square > 0) & ~clipped
    return even


def _blocks(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[H, W] to [H/16, W/16, 16, 16]."""
    height, width = plane.shape[0] // 16, plane.shape[1] // 16
    return plane.reshape(height, 16, width, 16).swapaxes(1, 2)


def _repeating(blocks: NDArray[np.float64]) -> float:
    """The part of the sum of squares of float64[n, 16, 16] that repeats every 8 pixels in all of them."""
    cell = blocks.reshape(-1, 2, 8, 2, 8).mean((0, 1, 3)) if len(blocks) else np.zeros((8, 8))
    return float((cell**2).sum() * 4 * len(blocks))


def _folded(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of float64[n, ...] by the first index modulo 16."""
    whole = len(lines) // PERIOD * PERIOD
    return lines[:whole].reshape(-1, PERIOD, lines[0].size).mean((0, 2))
