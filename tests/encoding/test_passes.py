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
from calotype.container import Header
from calotype.encoding.passes import Passes
from calotype.encoding.plan import RateTarget
from calotype.encoding.rate import SizeTarget, TrialEncoder, search_target_size
from calotype.encoding.size_estimate import SizeEstimate, deviation_histogram
from calotype.entropy import CodingPass
from calotype.latents import COARSEST, FINEST
from calotype.models import DEFAULT_CONTEXT_MODEL, ModelCache, load_context_model
from calotype.models.onnx_model import OnnxDecoder

SAMPLES = Path(__file__).parents[2] / "samples"
MAX_PASSES, MAX_DECODES = 5, 3
HEADER = Header(coding=0, space=1, context_model=242, encoder=240, width=320, height=192, level=0)


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


class FaceEverywhere:
    """Finds a face of 3x3 latents in every picture."""

    margin = 0

    def find(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        probability = np.zeros(latents.shape[1:], np.float32)
        top, left = (side // 3 for side in probability.shape)
        probability[top : top + 3, left : left + 3] = 1
        return probability


@pytest.mark.slow
@pytest.mark.parametrize("with_face", [False, True])
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "hubble.png", "rocket.jpg"])
def test_no_size_takes_more_passes(
    name: str, with_face: bool, work: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few and many bytes, so that the scale changes; a small face, so that regions and patches are tried."""
    if with_face:
        monkeypatch.setattr(ModelCache, "face_finder", lambda *_: FaceEverywhere())
    photo, scales = Image.open(SAMPLES / name).convert("RGB").resize((128, 104)), set()
    for target in (160, 260, 520, 1100):
        work.update(passes=0, decodes=0)
        data = calotype.encode(photo, target_size=target)
        assert 0.98 * target <= len(data) <= target
        assert work["passes"] <= MAX_PASSES and work["decodes"] <= MAX_DECODES
        scales.add(calotype.read_info(data).coded_width)
    assert len(scales) > 1


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


def test_the_last_pass_meets_the_size(latents: NDArray[np.float32]) -> None:
    target = SizeTarget(1200, HEADER, ())
    model = load_context_model(DEFAULT_CONTEXT_MODEL)
    first = TrialEncoder(latents, model, 0.05).trial(50)
    passes = Passes(2, reserved=1)
    trial, payload = search_target_size(
        TrialEncoder(latents, model, 0.05, passes=passes), target, first.known
    )
    assert passes.left == 1
    assert 0.95 * 1200 < target.file_size(len(payload)) <= 1200
    assert trial.level > 50


def test_passes_for_later_stages_are_not_spent() -> None:
    passes = Passes(3, reserved=1)
    assert passes.allow(2) and not passes.allow(3)
    passes.spend()
    assert passes.allow(1) and not passes.allow(2)
    assert RateTarget(size=9, passes=passes).allows_passes(1)
    assert not RateTarget(size=9, passes=passes).allows_passes(2)
    assert RateTarget(size=9).allows_passes(100)


def test_measured_sizes_replace_the_estimate() -> None:
    passes, shape = Passes(3), (4, 8, 8)
    assert passes.level_between(shape, 200) is None
    passes.remember(shape, 50, 400)
    assert passes.level_between(shape, 200) is None  # It is known on one side only.
    passes.remember(shape, 90, 100)
    assert passes.level_between(shape, 200) == pytest.approx(70)
    assert passes.level_between((4, 9, 9), 200) is None
    passes.remember(shape, 40, 90)  # Sizes that do not fall with the level are no help.
    assert passes.level_between(shape, 95) is None


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
