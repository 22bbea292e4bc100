"""Denoising matched to the quantiser: the U-Net takes away what quantisation added, and no more.

A diffusion model's timestep t stands for latents with Gaussian noise of deviation s(t) = sqrt((1 - a) / a),
where a is the scheduler's cumulative alpha. The file says how large the error of each channel is, so t
follows from it. The network sees sqrt(a) z, as in training, and predicts the noise e; then z - s(t) e
is its estimate of the clean latents.

**One t for unequal noise.** t is that of the noisiest channel, over the whole picture. Elsewhere less is
taken away: by Tweedie's formula the correction of the best estimate is the noise's variance times the score,
so a place with variance v moves only v / s**2 of the way. With a region-of-interest map the variance at a
place grows with the square of its step: that is the strength at each pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.models.stable_diffusion.noise import normal
from calotype.options import DiffusionOptions

__all__ = ["Denoising", "Predictor", "Schedule", "denoise_all", "denoising", "strength", "timestep_for"]

Array = NDArray[np.float32]
Predictor = Callable[[Array, Sequence[int]], Array]
"""(sqrt(a) z float32[n, 4, h, w], t of each) to the predicted noise float32[n, 4, h, w]."""

Denoising = Generator[tuple[Array, int], Any, Array]
"""One picture on its way: asks with (sqrt(a) z float32[4, h, w], t), is told the noise, returns latents."""


@dataclass(frozen=True)
class Schedule:
    """The scheduler's cumulative alphas, float64[timesteps], falling."""

    alphas: NDArray[np.float64]

    def deviation(self, t: int) -> float:
        """s(t), the noise's deviation in scaled-latent units."""
        alpha = self.alphas[t]
        return float(np.sqrt((1 - alpha) / alpha))

    def timestep(self, deviation: float) -> int | None:
        """The t whose s(t) is nearest, or None below s(0), where there is nothing to take away."""
        if deviation < self.deviation(0):
            return None
        deviations = np.sqrt((1 - self.alphas) / self.alphas)
        return int(np.abs(deviations - deviation).argmin())


def timestep_for(schedule: Schedule, noise: NDArray[np.float64], options: DiffusionOptions) -> int | None:
    """Where denoising starts if ``noise`` float64[4] are the deviations of the channels' errors, or None."""
    if options.denoise == "off" or options.steps == 0:
        return None
    if isinstance(options.denoise, int):
        return min(options.denoise, len(schedule.alphas) - 1)
    return schedule.timestep(float(noise.max()))


def strength(noise: NDArray[np.float64], log_step: Array) -> NDArray[np.float64]:
    """How much of the correction each place gets, float64[4, h, w] in [0, 1]: its variance over the largest.

    ``noise`` float64[4] is the deviation of each channel's error over the whole picture, ``log_step``
    float32[1, h, w] log2 of the step at each position.
    """
    if not noise.max() > 0:
        return np.ones((len(noise), *log_step.shape[1:]))
    power = 4.0 ** (log_step.astype(np.float64) - log_step.max())
    channels = (noise / noise.max()) ** 2
    share: NDArray[np.float64] = np.minimum(channels[:, None, None] * (power / power.mean()), 1)
    return share


def denoising(
    latents: Array, share: NDArray[np.float64], schedule: Schedule, start: int, options: DiffusionOptions
) -> Denoising:
    """Clean latents float32[4, h, w] in ``options.steps`` deterministic steps (DDIM) from timestep ``start``.

    ``share`` is :func:`strength`. With a seed the network's input is brought up to the noise that ``start``
    means, wherever the quantiser added less.
    """
    times = sorted({round(start * (n + 1) / options.steps) for n in range(options.steps)}, reverse=True)
    z = latents
    if options.seed is not None:
        missing = schedule.deviation(start) * np.sqrt(np.maximum(1 - share, 0))
        z = (z + missing * normal(options.seed, z.shape)).astype(np.float32)
    for t, after in zip(times, [*times[1:], None], strict=True):
        error = yield (np.sqrt(schedule.alphas[t]) * z).astype(np.float32), t
        down_to = 0.0 if after is None else schedule.deviation(after)
        z = z + np.float32(down_to - schedule.deviation(t)) * error
    return (latents + share * (z - latents)).astype(np.float32)


def denoise_all(predict: Predictor, tasks: Sequence[Denoising]) -> list[Array]:
    """What ``tasks`` return, each float32[4, h, w]; step by step all that still ask go through together."""
    results: dict[int, Array] = {}
    answers: dict[int, Array | None] = dict.fromkeys(range(len(tasks)))
    while answers:
        asked = {}
        for number, answer in answers.items():
            try:
                asked[number] = tasks[number].send(answer)
            except StopIteration as finished:
                results[number] = finished.value
        answers = {}
        if asked:
            errors = predict(np.stack([z for z, _ in asked.values()]), [t for _, t in asked.values()])
            answers = dict(zip(asked, errors, strict=True))
    return [results[number] for number in range(len(tasks))]
