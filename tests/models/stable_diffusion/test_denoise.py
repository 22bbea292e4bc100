"""Denoising matched to the quantiser: timesteps, strength, random numbers, the empty prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sd_weights import SCHEDULER, TEXT, text_tensors

from calotype.errors import ModelError
from calotype.models.stable_diffusion.catalogue import fetched_model
from calotype.models.stable_diffusion.denoise import (
    Denoising,
    Schedule,
    denoise_all,
    denoise_unless_clean,
    noise_strength,
    timestep_for,
)
from calotype.models.stable_diffusion.model import _read_schedule
from calotype.models.stable_diffusion.noise import normal_deviates, random_words
from calotype.models.stable_diffusion.store import WeightsLocation
from calotype.models.stable_diffusion.text import encode_empty_prompt
from calotype.options import DiffusionOptions

Array = NDArray[np.float32]
EQUAL = np.zeros((1, 2, 3), np.float32)
AUTO = DiffusionOptions()
# The first and the last token's state, computed by transformers' CLIPTextModel from the same weights.
FIRST = [1.2338581, 3.6845717, 1.1878382, -1.1840491, 0.5080455, 1.0928396, 0.2120038, 1.6253722]
LAST = [1.2061924, 3.7117262, 1.2009469, -1.2159734, 0.5988521, 0.7591826, 0.2179134, 1.3673010]


@pytest.fixture(scope="module")
def schedule(tmp_path_factory: pytest.TempPathFactory) -> Schedule:
    source = fetched_model("sd-1.5")
    assert source is not None
    folder = tmp_path_factory.mktemp("scheduler")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    parts = {part.name: part for part in source.parts}
    return _read_schedule(WeightsLocation(folder), source, parts["scheduler"])


@pytest.mark.parametrize(
    ("step", "t"),
    [
        (0.25, 5),
        (0.34, 10),
        (0.41, 15),
        (0.48, 20),
        (0.59, 30),
        (0.78, 50),
        (1.2, 101),
        (1.57, 149),
        (1.98, 200),
    ],
)
def test_the_timestep_follows_from_the_step(schedule: Schedule, step: float, t: int) -> None:
    assert timestep_for(schedule, np.full(4, step / np.sqrt(12)), AUTO) == t


def test_below_the_first_timestep_nothing_is_denoised(schedule: Schedule) -> None:
    assert schedule.deviation(0) == pytest.approx(0.0292, abs=1e-4)
    assert timestep_for(schedule, np.full(4, 0.101 / np.sqrt(12)), AUTO) is None
    assert timestep_for(schedule, np.full(4, 0.102 / np.sqrt(12)), AUTO) == 0
    assert timestep_for(schedule, np.zeros(4), AUTO) is None


def test_the_noisiest_channel_and_the_options_decide(schedule: Schedule) -> None:
    noise = np.array([0.1, 0.05, 0.2, 0.01])
    assert timestep_for(schedule, noise, AUTO) == schedule.timestep(0.2)
    assert timestep_for(schedule, noise, DiffusionOptions(denoise="off")) is None
    assert timestep_for(schedule, noise, DiffusionOptions(steps=0)) is None
    assert timestep_for(schedule, noise, DiffusionOptions(denoise=321)) == 321


def test_strength_is_the_share_of_the_variance() -> None:
    noise = np.array([0.2, 0.1, 0.2, 0.0])
    np.testing.assert_allclose(noise_strength(noise, EQUAL)[:, 0, 0], [1, 0.25, 1, 0])
    uneven = np.array([[[-1, -1, 0]]], np.float32)  # half the step at two of three places
    strength = noise_strength(np.full(4, 0.1), uneven)[0, 0]
    np.testing.assert_allclose(
        strength, [0.5, 0.5, 1]
    )  # variances 1/4, 1/4 and 1 over their mean 1/2, at most 1
    assert (noise_strength(np.zeros(4), EQUAL) == 1).all()


def denoise(predict: Callable[[Array, int], Array], *task: Any) -> Array:
    """One picture alone."""

    def predict_all(x: Array, times: Sequence[int]) -> Array:
        return np.stack([predict(z, t) for z, t in zip(x, times, strict=True)])

    (denoised,) = denoise_all(predict_all, [denoise_unless_clean(*task)])
    return denoised


def perfect(schedule: Schedule, clean: Array) -> Callable[[Array, int], Array]:
    """A U-Net that knows the clean latents."""

    def predict(x: Array, t: int) -> Array:
        alpha = schedule.alphas[t]
        return ((x - np.sqrt(alpha) * clean) / np.sqrt(1 - alpha)).astype(np.float32)

    return predict


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
def test_a_perfect_network_finds_the_clean_latents(schedule: Schedule, steps: int) -> None:
    clean, noise = normal_deviates(1, (4, 5, 6)), normal_deviates(2, (4, 5, 6))
    noisy = (clean + np.float32(0.3) * noise).astype(np.float32)
    options = DiffusionOptions(steps=steps)
    share = np.ones((4, 5, 6))
    denoised = denoise(perfect(schedule, clean), noisy, share, schedule, 107, options)
    np.testing.assert_allclose(denoised, clean, atol=1e-4)
    assert denoised.dtype == np.float32
    part = denoise(perfect(schedule, clean), noisy, 0.25 * share, schedule, 107, options)
    np.testing.assert_allclose(part, noisy + 0.25 * (clean - noisy), atol=1e-4)


def test_a_batch_is_denoised_like_single_pictures(schedule: Schedule) -> None:
    sizes = []

    def predict(x: Array, times: Sequence[int]) -> Array:
        sizes.append(len(x))
        return np.stack([np.tanh(z) * t / 100 for z, t in zip(x, times, strict=True)]).astype(np.float32)

    latents, starts, options = normal_deviates(3, (3, 4, 5, 6)), (200, 1, 30), DiffusionOptions(steps=3)

    def tasks(*numbers: int) -> list[Denoising]:
        share = np.full((4, 5, 6), 0.5)
        return [denoise_unless_clean(latents[n], share, schedule, starts[n], options) for n in numbers]

    denoised = denoise_all(predict, tasks(0, 1, 2))
    assert sizes == [3, 3, 2]  # from timestep 1 there are two steps only
    for number, alone in enumerate(denoised):
        np.testing.assert_array_equal(denoise_all(predict, tasks(number))[0], alone)


def test_a_seed_adds_only_the_noise_that_is_missing(schedule: Schedule) -> None:
    timesteps = []

    def predict(x: Array, t: int) -> Array:
        timesteps.append(x / np.sqrt(schedule.alphas[t]))
        return np.zeros_like(x)

    latents = np.zeros((4, 60, 70), np.float32)
    share = np.broadcast_to(np.array([1, 0.75, 0.5, 0])[:, None, None], latents.shape)
    denoise(predict, latents, share, schedule, 200, DiffusionOptions(seed=9))
    deviation = schedule.deviation(200)
    wanted = deviation * np.sqrt([0, 0.25, 0.5, 1])
    np.testing.assert_allclose(timesteps[0].std((1, 2)), wanted, rtol=0.05, atol=1e-9)
    denoise(predict, latents, share, schedule, 200, DiffusionOptions())
    assert not timesteps[1].any()


def test_random_words_are_those_of_splitmix64() -> None:
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert random_words(1234567, 4).tolist() == known
    assert random_words((1 << 64) - 1, 2).tolist()[1] == random_words(0x9E3779B97F4A7C14, 1).tolist()[0]


def test_deviates_are_normal_and_specified() -> None:
    first = random_words(7, 3).tolist()
    total = sum(word >> shift & 0xFFFF for word in first for shift in (0, 16, 32, 48))
    deviates = normal_deviates(7, (3, 200, 100))
    assert deviates[0, 0, 0] == (total - 393_210) / 65_536
    assert deviates.dtype == np.float32
    assert abs(deviates.mean()) < 0.02
    assert deviates.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(deviates) > 2).mean() == pytest.approx(0.0455, abs=0.004)


def test_the_empty_prompt_is_clips() -> None:
    embedding = encode_empty_prompt(text_tensors(0), TEXT)
    assert embedding.shape == (1, 6, 8)
    np.testing.assert_allclose(embedding[0, 0], FIRST, atol=1e-5)
    np.testing.assert_allclose(embedding[0, 5], LAST, atol=1e-5)
    bare = {name.removeprefix("text_model."): tensor for name, tensor in text_tensors(0).items()}
    np.testing.assert_array_equal(encode_empty_prompt(bare, TEXT), embedding)
    del bare["final_layer_norm.bias"]
    with pytest.raises(ModelError, match=r"lack final_layer_norm\.bias"):
        encode_empty_prompt(bare, TEXT)


def test_the_embedding_of_fetched_weights_is_kept(pipeline: Path, home: Path) -> None:
    from calotype.models.stable_diffusion.store import file_hash
    from calotype.models.stable_diffusion.text import empty_prompt

    source = fetched_model("sd-1.5")
    assert source is not None
    part = next(part for part in source.parts if part.name == "text_encoder")
    names = ("text_encoder/config.json", "text_encoder/model.safetensors")
    where = WeightsLocation(pipeline, {name: file_hash(pipeline / name) for name in names})
    first = empty_prompt(where, source, part)
    (cached,) = (home / "calotype").iterdir()
    assert cached.name == f"empty-prompt-{where.sha256[names[1]]}.npy"
    np.save(cached, first + 1)
    np.testing.assert_array_equal(empty_prompt(where, source, part), first + 1)
    cached.write_bytes(b"damaged")
    np.testing.assert_array_equal(empty_prompt(where, source, part), first)
