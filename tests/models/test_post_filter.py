"""The post-filter: tiles, where it is used, and what the decoder behind it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.latents import log_step_map
from calotype.limits import Limits
from calotype.models import load_post_filter, loaders, model_id, stable_diffusion, tiling
from calotype.models.post_filter import PostFilter, PostFilteredDecoder
from calotype.models.registry import embedded_model
from calotype.options import DiffusionOptions

ROOT = Path(__file__).parents[2]
POCKET, TINY = model_id("pocket"), model_id("tiny")
Array = NDArray[np.float32]


class Recorder:
    """A decoder that keeps the conditional means it gets, and shows grey."""

    margin = last_margin = None

    def __init__(self) -> None:
        self.conditional_means: list[Array] = []

    def decode(self, latents: Array, log_step: Array, noise: Any, means: Array, *_: Any) -> Array:
        return self.decode_batch(latents[None], log_step, noise, means[None])[0]

    def decode_batch(self, latents: Array, log_step: Array, noise: Any, means: Array, *_: Any) -> Array:
        self.conditional_means += list(means)
        count, _, height, width = latents.shape
        return np.full((count, 3, 8 * height, 8 * width), 0.5, np.float32)


@pytest.fixture(scope="module")
def file() -> bytes:
    photo = Image.open(ROOT / "samples" / "astronaut.png").convert("RGB").crop((128, 0, 256, 96))
    return calotype.encode(photo, quality=40, effort=1)


@pytest.fixture(scope="module")
def inputs(file: bytes) -> tuple[Array, Array, Array]:
    decoded = decode_latents(parse_file(file, limits=Limits()))
    return decoded.latents, log_step_map(decoded.levels), decoded.conditional_mean


@pytest.fixture(scope="module")
def post_filter() -> PostFilter:
    found = load_post_filter(POCKET, 1)
    assert found is not None
    return found


def test_corrections_are_of_the_size_of_a_step(
    inputs: tuple[Array, Array, Array], post_filter: PostFilter
) -> None:
    _, log_step, conditional_mean = inputs
    in_steps = (post_filter(*inputs) - conditional_mean) / np.exp2(log_step)
    assert 0.02 < np.sqrt((in_steps**2).mean()) < 1


def test_tiles_give_the_latents_of_the_whole(
    inputs: tuple[Array, Array, Array], post_filter: PostFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tuple(np.tile(plane, (1, 5, 5)) for plane in inputs)
    whole = post_filter(*large)
    monkeypatch.setattr(tiling, "MAX_POSITIONS", 40 * 40)
    np.testing.assert_allclose(post_filter(*large), whole, atol=1e-5)


def test_the_margin_is_the_radius_of_the_receptive_field(
    inputs: tuple[Array, Array, Array], post_filter: PostFilter
) -> None:
    network = embedded_model("pocket").post_filter
    assert network is not None
    large = [np.tile(plane, (1, 5, 5)) for plane in inputs]
    before = post_filter(*large)
    large[2][:, 30, 30] += 1
    rows, columns = np.nonzero((post_filter(*large) != before).any(0))
    assert max(np.abs(rows - 30).max(), np.abs(columns - 30).max()) == network.margin


def test_batches_give_the_latents_of_single_pictures(
    inputs: tuple[Array, Array, Array], post_filter: PostFilter
) -> None:
    latents, log_step, means = inputs
    recorder = Recorder()
    decoder = PostFilteredDecoder(post_filter, recorder)  # type: ignore[arg-type]
    decoder.decode_batch(
        np.stack([latents, -latents]),
        np.stack([log_step] * 2),
        np.zeros((2, 4)),
        np.stack([means, -means]),
    )
    decoder.decode(-latents, log_step, np.zeros(4), -means)
    np.testing.assert_array_equal(recorder.conditional_means[2], recorder.conditional_means[1])
    np.testing.assert_array_equal(recorder.conditional_means[0], post_filter(*inputs))


def test_only_latents_of_pocket_are_filtered_and_only_for_stable_diffusion(
    file: bytes, inputs: tuple[Array, Array, Array], post_filter: PostFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(stable_diffusion, "open_decoder", lambda *_: recorder)
    calotype.Codec(threads=1).decode(file, model="sd-1.5")
    np.testing.assert_allclose(recorder.conditional_means[0], post_filter(*inputs), atol=1e-5)
    assert loaders.load_decoder("sd-1.5", 1, None, DiffusionOptions(), encoder=TINY) is recorder
    assert loaders.load_decoder("sd-1.5", 1, None, DiffusionOptions()) is recorder
    embedded = loaders.load_decoder("pocket", 1, 1, encoder=POCKET)
    assert not isinstance(embedded, PostFilteredDecoder)
    assert load_post_filter(TINY) is None
