"""What the quality benchmark measures on one picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.features import FeatureDistance
from benchmarks.measures import (
    MEASURES,
    channel_sums,
    even_blocks,
    fine_texture,
    grid_profiles,
    order0_bytes,
)
from benchmarks.pictures import ASSETS, SAMPLE, load_rgb
from benchmarks.scene import Kit, Scene
from benchmarks.targets import Figures, pattern, unevenness

TAESD = ASSETS / "models" / "taesd"
needs_taesd = pytest.mark.skipif(not TAESD.is_dir(), reason="TAESD is not there: set CALOTYPE_ASSETS")


def test_order0_entropy() -> None:
    four_values = np.arange(64, dtype=np.int16).reshape(1, 8, 8) % 4
    assert order0_bytes(four_values) == pytest.approx(64 * 2 / 8)
    constant = np.full((1, 8, 8), 7, np.int16)
    assert order0_bytes(constant) == 0
    assert order0_bytes(np.concatenate([four_values, constant])) == pytest.approx(16)


def figures_of(rgb: NDArray[np.uint8]) -> Figures:
    profiles = grid_profiles(rgb).items()
    return Figures(
        {"one": {f"{kind}-x.{at}": v for kind, profile in profiles for at, v in enumerate(profile)}}
    )


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_a_faint_grid_is_seen_at_its_period(period: int) -> None:
    noise = np.random.default_rng(3).normal(128, 3, (256, 256, 3))
    grid = noise.copy()
    grid[period - 1 :: period] += 1
    grid[:, period - 1 :: period] += 1
    plain, seen = figures_of(noise.astype(np.uint8)), figures_of(grid.astype(np.uint8))
    assert pattern(seen, "x", period) > 10 * pattern(plain, "x", period)
    assert pattern(seen, "x", period) == pytest.approx(np.sqrt((2 if period == 2 else 1.5) / period), rel=0.1)
    if period > 2:
        assert unevenness(seen, "x", period) > 2 * unevenness(plain, "x", period)


def test_positions_are_those_of_the_picture() -> None:
    rgb = np.full((64, 64, 3), 90, np.uint8)
    rgb[5::16] += 4
    profiles = grid_profiles(rgb)
    assert profiles["pattern"].argmax() == 5 and profiles["pattern"][5] == 2
    assert np.flatnonzero(profiles["gradient"]).tolist() == [4, 5]


def test_grain_is_looked_for_in_even_areas() -> None:
    random = np.random.default_rng(4)
    rgb = np.full((64, 96, 3), 120.0)
    rgb[:, 48:] += np.linspace(0, 120, 48)[None, :, None]  # steep
    rgb[:16, :16] = 250  # clipped
    rgb[20, 18:30] += 40  # a line
    rgb += random.normal(0, 4, (64, 96, 1))
    seen = rgb.clip(0, 255).astype(np.uint8)
    wanted = np.zeros((4, 6), bool)
    wanted[:, :3] = True
    wanted[:2, :2] = False  # the clipped one, its neighbours at the edge, and the line
    even = even_blocks(seen)
    assert np.array_equal(even, wanted)
    assert fine_texture(seen)[even].std() == pytest.approx(4 * np.sqrt(24 / 25), rel=0.1)


def test_feature_distance_grows_with_the_damage() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs pip install 'calotype[bench]'")
    rgb = load_rgb(SAMPLE)[:128, 128:256]
    blurred = rgb.reshape(32, 4, 32, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    little = (0.8 * rgb.astype(np.float64) + 0.2 * blurred).astype(np.uint8)
    distance = FeatureDistance()
    assert distance(rgb, rgb) == pytest.approx(0, abs=1e-5)
    assert 0 < distance(rgb, little) < distance(rgb, blurred) < 1.5
    assert distance(rgb, blurred) == pytest.approx(distance(blurred, rgb))


@needs_taesd
def test_every_measurement_on_a_small_crop() -> None:
    for package in ("torch", "safetensors", "ssimulacra2", "efficientnet_lite_pytorch"):
        pytest.importorskip(package, reason="needs pip install 'calotype[bench]'")
    scene = Scene(load_rgb(SAMPLE)[:128, 160:288].copy(), Kit())
    found = {name: measure(scene) for name, measure in MEASURES.items()}
    assert found["opinion"]["calotype-2500.bytes"] <= 2500
    assert 0 < found["opinion"]["calotype-5000.lpips"] < found["opinion"]["calotype-5000.features"] * 10
    ceiling, entropy, space = found["ceiling"], found["entropy"], found["space"]
    assert ceiling["taesd-taesd-exact.psnr"] == pytest.approx(ceiling["taesd-taesd-finest.psnr"], abs=0.5)
    assert ceiling["taesd-taesd-exact.lpips"] == space["taesd-into-taesd-exact.lpips"]
    assert entropy["rans-1.4.bytes"] < entropy["rans-0.35.bytes"] < entropy["order0-0.35.bytes"]
    assert found["rdo"]["rdo-72.bytes"] < found["rdo"]["plain-72.bytes"] < found["rdo"]["plain-56.bytes"]
    latents = scene.latents("taesd")
    assert channel_sums("taesd", scene)["taesd-mean.2"] == pytest.approx(latents[2].mean(), abs=1e-5)
    error = scene.picture("pocket", 5000, "pocket").astype(float) - scene.rgb
    eye = found["eye"]
    assert eye["colour.g"] == pytest.approx(error[..., 1].mean())
    assert 0 < eye["repeating-decoded.square"] < eye["grain-decoded.square"] < 256 * 100 * eye["even.blocks"]
