"""The work for a target size: coding passes and decodes of pixels are counted, not seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.encoding.size_estimate import SizeEstimate, deviation_histogram
from calotype.entropy import CodingPass
from calotype.latents import COARSEST, FINEST
from calotype.models.onnx_model import OnnxDecoder

SAMPLES = Path(__file__).parents[2] / "samples"
MAX_PASSES, MAX_DECODES = 5, 3


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Counts the coding passes, that of the verification among them, and the calls of the decoder network."""
    counts = {"passes": 0, "decodes": 0}
    start, decode = CodingPass.__init__, OnnxDecoder.decode

    def counted_pass(*arguments: Any, **options: Any) -> None:
        counts["passes"] += 1
        start(*arguments, **options)

    def counted_decode(*arguments: Any, **options: Any) -> NDArray[np.float32]:
        counts["decodes"] += 1
        return decode(*arguments, **options)

    monkeypatch.setattr(CodingPass, "__init__", counted_pass)
    monkeypatch.setattr(OnnxDecoder, "decode", counted_decode)
    yield counts


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, target, protect",
    [
        ("coffee.png", 450, "faces"),
        ("coffee.png", 1250, "faces"),
        ("hubble.png", 450, "faces"),
        ("astronaut.png", 900, "none"),
    ],
)
def test_a_target_size_takes_few_passes(name: str, target: int, protect: str, work: dict[str, int]) -> None:
    photo = Image.open(SAMPLES / name).convert("RGB").resize((288, 240))
    data = calotype.encode(photo, target_size=target, protect=protect)
    assert 0.98 * target <= len(data) <= target
    assert work["passes"] <= MAX_PASSES and work["decodes"] <= MAX_DECODES


def test_a_quality_takes_one_pass_and_its_verification(work: dict[str, int]) -> None:
    calotype.encode(Image.open(SAMPLES / "coffee.png").convert("RGB").resize((128, 96)), scale=1)
    assert work == {"passes": 2, "decodes": 0}


@pytest.fixture(scope="module")
def latents() -> NDArray[np.float32]:
    """float32[4, 24, 40], correlated like a picture's."""
    field = np.random.default_rng(4).normal(size=(4, 24, 40))
    for axis in (1, 2):
        for shift in (1, 2, 4):
            field = field + np.roll(field, shift, axis)
    return (field / field.std()).astype(np.float32)


def test_estimates_fall_with_the_level_and_count_every_latent(latents: NDArray[np.float32]) -> None:
    assert deviation_histogram(latents).sum() == latents.size
    estimate = SizeEstimate(latents)
    sizes = [estimate.size(level) for level in range(FINEST, COARSEST + 1)]
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(estimate.slope(level) < 0 for level in (FINEST, 56, COARSEST))
    louder = SizeEstimate(2 * latents)
    assert louder.size(72) == pytest.approx(estimate.size(56), rel=1e-3)  # 16 levels double the step


def test_estimated_levels_are_inverse_to_sizes(latents: NDArray[np.float32]) -> None:
    estimate = SizeEstimate(latents)
    for level in (FINEST, 40.0, 77.5, COARSEST):
        assert estimate.level(estimate.size(level)) == pytest.approx(level, abs=0.05)
    assert estimate.level(1000.0, known=(60, 1000)) == pytest.approx(60, abs=0.05)
    assert estimate.level(900.0, known=(60, 1000)) > 60
    assert estimate.level(0.001) == COARSEST + 16  # out of reach
    finer = SizeEstimate(latents, np.full(latents.shape[1:], 8))
    assert finer.size(64) == pytest.approx(estimate.size(56), rel=1e-3)
