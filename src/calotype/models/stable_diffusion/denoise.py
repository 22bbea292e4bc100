"""Denoising matched to the quantiser: the U-Net removes the quantisation noise.

A diffusion model's timestep t stands for latents with Gaussian noise of deviation s(t) = sqrt((1 - a) / a),
where a is the scheduler's cumulative alpha. The file records the size of each channel's error, so that t
follows from it. The network sees sqrt(a) z, as in training, and predicts the noise e; then z - s(t) e
is its estimate of the clean latents.

**One t for unequal noise.** t is that of the noisiest channel, over the whole picture. Elsewhere less
noise is removed: by Tweedie's formula the correction of the best estimate is the noise's variance times
the score, so that a latent with variance v moves by v / s**2 of the full correction. In a picture with
regions the variance at a position grows with the square of its step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.models.stable_diffusion.noise import normal_deviates
from calotype.options import DiffusionOptions

__all__ = [
    "Denoising",
    "Predictor",
    "Schedule",
    "denoise_all",
    "denoise_unless_clean",
    "noise_strength",
    "timestep_for",
]

Array = NDArray[np.float32]
Predictor = Callable[[Array, Sequence[int]], Array]
"""Predicts the noise float32[n, 4, h, w] of (sqrt(a) z float32[n, 4, h, w], t of each picture)."""

Denoising = Generator[tuple[Array, int], Any, Array]
"""A generator for one picture: it yields (sqrt(a) z float32[4, h, w], t), receives the predicted noise, and
returns the denoised latents."""


@dataclass(frozen=True)
class Schedule:
    """The scheduler's cumulative alphas, float64[timesteps], in falling order."""

    alphas: NDArray[np.float64]

    def deviation(self, t: int) -> float:
        """Returns s(t), the standard deviation of the noise in scaled-latent units."""
        alpha = self.alphas[t]
        return float(np.sqrt((1 - alpha) / alpha))

    def timestep(self, deviation: float) -> int | None:
        """Returns the t with the nearest s(t), or None below s(0), where there is no noise to remove."""
        if deviation < self.deviation(0):
            return None
        deviations = np.sqrt((1 - self.alphas) / self.alphas)
        return int(np.abs(deviations - deviation).argmin())


def timestep_for(schedule: Schedule, noise: NDArray[np.float64], options: DiffusionOptions) -> int | None:
    """Returns the timestep at which denoising starts for channel deviations ``noise`` float64[4], or None."""
    if options.denoise == "off" or options.steps == 0:
        return None
    if isinstance(options.denoise, int):
        return min(options.denoise, len(schedule.alphas) - 1)
    return schedule.timestep(float(noise.max()))


def noise_strength(noise: NDArray[np.float64], log_step: Array) -> NDArray[np.float64]:
    """Returns the factor of the correction at each position, float64[4, h, w]: its variance over the largest.

    ``noise`` float64[4] is the deviation of each channel's error over the whole picture, ``log_step``
    float32[1, h, w] log2 of the step at each position.
    """
    if not noise.max() > 0:
        return np.ones((len(noise), *log_step.shape[1:]))
    power = 4.0 ** (log_step.astype(np.float64) - log_step.max())
    channels = (noise / noise.max()) ** 2
    share: NDArray[np.float64] = np.minimum(channels[:, None, None] * (power / power.mean()), 1)
    return share


def denoise_unless_clean(
    latents: Array, share: NDArray[np.float64], schedule: Schedule, start: int, options: DiffusionOptions
) -> Denoising:
    """Denoises latents float32[4, h, w] in ``options.steps`` deterministic steps (DDIM) from ``start``.

    ``share`` is :func:`noise_strength`. With a seed the network's input is brought up to the noise that
    ``start`` means, wherever the quantiser added less.
    """
    times = sorted({round(start * (n + 1) / options.steps) for n in range(options.steps)}, reverse=True)
    z = latents
    if options.seed is not None:
        missing = schedule.deviation(start) * np.sqrt(np.maximum(1 - share, 0))
        z = (z + missing * normal_deviates(options.seed, z.shape)).astype(np.float32)
    for t, after in zip(times, [*times[1:], None], strict=True):
        error = yield (np.sqrt(schedule.alphas[t]) * z).astype(np.float32), t
        down_to = 0.0 if after is None else schedule.deviation(after)
        z = z + np.float32(down_to - schedule.deviation(t)) * error
    return (latents + share * (z - latents)).astype(np.float32)


def denoise_all(predict: Predictor, tasks: Sequence[Denoising]) -> list[Array]:
    """Runs ``tasks`` and returns their latents float32[4, h, w]; in each step, all unfinished ones form a
    batch."""
    results: dict[int, Array] = {}
    answers: dict[int, Array | None] = dict.fromkeys(range(len(tasks)))
    while answers:
        requests = {}
        for number, answer in answers.items():
            try:
                requests[number] = tasks[number].send(answer)
            except StopIteration as finished:
                results[number] = finished.value
        answers = {}
        if requests:
            errors = predict(np.stack([z for z, _ in requests.values()]), [t for _, t in requests.values()])
            answers = dict(zip(requests, errors, strict=True))
    return [results[number] for number in range(len(tasks))]
