"""The measurements of the quality benchmark on one picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import judges
from benchmarks.files import METRICS, codecs_here, figure_names, file_figures
from benchmarks.ledger import Figures
from benchmarks.measures import (
    MEASURES,
    channel_sums,
    even_blocks,
    fine_texture,
    grid_profiles,
    order0_bytes,
)
from benchmarks.pictures import ASSETS, POOLS, SAMPLE, load_rgb
from benchmarks.scene import LPIPS_GRAPH, OTHERS, Kit, Scene
from benchmarks.targets import pattern, unevenness
from calotype.compare.codecs import Coded

TAESD = ASSETS / "models" / "taesd"
HERE = {"TAESD": TAESD.is_dir(), "LPIPS": LPIPS_GRAPH.is_file(), "the judges": judges.TOOL.is_file()}
MISSING = ", ".join(name for name, is_there in HERE.items() if not is_there)
needs_assets = pytest.mark.skipif(bool(MISSING), reason=f"set CALOTYPE_ASSETS: there is no {MISSING}")


@pytest.fixture
def torch_packages() -> None:
    for package in ("torch", "safetensors", "ssimulacra2"):
        pytest.importorskip(package, reason="needs pip install 'calotype[bench]'")


def crop(side: int = 128) -> NDArray[np.uint8]:
    return load_rgb(SAMPLE)[:side, 160 : 160 + side].copy()


def test_order0_entropy_is_that_of_the_counted_frequencies() -> None:
    four_values = np.arange(64, dtype=np.int16).reshape(1, 8, 8) % 4
    assert order0_bytes(four_values) == pytest.approx(64 * 2 / 8)
    constant = np.full((1, 8, 8), 7, np.int16)
    assert order0_bytes(constant) == 0
    assert order0_bytes(np.concatenate([four_values, constant])) == pytest.approx(16)


def figures_of(rgb: NDArray[np.uint8]) -> Figures:
    profiles = grid_profiles(rgb).items()
    return Figures(
        {
            "one": {
                f"{kind}-x.{position}": v for kind, profile in profiles for position, v in enumerate(profile)
            }
        }
    )


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_a_faint_grid_is_seen_at_its_period(period: int) -> None:
    noise = np.random.default_rng(3).normal(128, 3, (256, 256, 3))
    grid = noise.copy()
    grid[period - 1 :: period] += 1
    grid[:, period - 1 :: period] += 1
    plain, periodic = figures_of(noise.astype(np.uint8)), figures_of(grid.astype(np.uint8))
    assert pattern(periodic, "x", period) > 10 * pattern(plain, "x", period)
    assert pattern(periodic, "x", period) == pytest.approx(
        np.sqrt((2 if period == 2 else 1.5) / period), rel=0.1
    )
    if period > 2:
        assert unevenness(periodic, "x", period) > 2 * unevenness(plain, "x", period)


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
    clipped = rgb.clip(0, 255).astype(np.uint8)
    wanted = np.zeros((4, 6), bool)
    wanted[:, :3] = True
    wanted[:2, :2] = False  # the clipped one, its neighbours at the edge, and the line
    even = even_blocks(clipped)
    assert np.array_equal(even, wanted)
    assert fine_texture(clipped)[even].std() == pytest.approx(4 * np.sqrt(24 / 25), rel=0.1)


class _KitOfFakes:
    """A codec whose file is never smaller than 70 bytes, and metrics that count their calls."""

    def __init__(self) -> None:
        self.measured = 0

    def codec(self, name: str) -> _KitOfFakes:
        return self

    def compress(self, rgb: NDArray[np.uint8], budgets: list[int]) -> list[Coded]:
        return [Coded(bytes(max(budget, 70)), rgb // 2, budget >= 70) for budget in budgets]

    def psnr(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
        assert np.array_equal(picture, reference // 2)
        self.measured += 1
        return 30.0

    lpips = ssimulacra2 = psnr

    def judges(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> dict[str, float]:
        return dict.fromkeys(judges.JUDGES, 0.1)


def test_the_same_file_is_measured_once() -> None:
    kit = _KitOfFakes()
    figures = file_figures(Scene(crop(64), kit), "avif", [5000, 2500, 1250])
    assert set(figures) == {name for budget in (5000, 2500, 1250) for name in figure_names("avif", budget)}
    assert [figures[f"avif-{budget}.bytes"] for budget in (5000, 2500, 1250)] == [78, 70, 70]
    assert [figures[f"avif-{budget}.fits"] for budget in (5000, 2500, 1250)] == [1, 0, 0]
    assert kit.measured == 2 * 3  # two files, three metrics


def test_codecs_that_cannot_run_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def codec(self: Kit, name: str) -> None:
        if name == "jxl":
            raise ImportError("no such module")

    monkeypatch.setattr(Kit, "codec", codec)
    assert codecs_here(("avif", "jxl")) == (["avif"], {"jxl": "no such module"})


@needs_assets
def test_the_judges_keep_the_features_of_the_reference(torch_packages: None) -> None:
    import torch

    all_three = judges.Judges()
    pictures = [crop(96), crop(96) // 2, 255 - crop(96)]
    calls: list[bool] = []
    vgg = all_three._vgg
    all_three._vgg = lambda x, l2pool=False: (calls.append(l2pool), vgg(x, l2pool))[1]
    tool = type(all_three._tool)("cpu")  # as it is
    for number, reference in enumerate((pictures[0], pictures[0], pictures[2])):
        distances = all_three(reference, pictures[1])
        pair = [judges._tensor(rgb) for rgb in (reference, pictures[1])]
        with torch.inference_mode():
            assert distances == {name: getattr(tool, name)(*pair).item() for name in judges.JUDGES}
        assert len(calls) == (4, 6, 10)[number]
    assert all(abs(value) < 1e-5 for value in all_three(pictures[0], pictures[0]).values())


@needs_assets
def test_every_measurement_on_a_small_crop(torch_packages: None) -> None:
    kit = Kit()
    scene = Scene(crop(), kit)
    figures = {name: measure(scene) for name, measure in MEASURES.items()}
    entropy, space, eye = figures["entropy"], figures["space"], figures["eye"]
    assert entropy["rans-taesd-1.0.bytes"] < entropy["rans-taesd-0.35.bytes"]
    assert entropy["rans-taesd-0.35.bytes"] < entropy["order0-taesd-0.35.bytes"]
    assert 0 < space["file-5000-into-taesd.lpips_sq"] < 0.5
    latents = scene.latents("taesd")
    assert channel_sums("taesd", scene)["taesd-mean.2"] == pytest.approx(latents[2].mean(), abs=1e-5)
    error = scene.coded(5000).rgb.astype(float) - scene.rgb
    assert eye["colour.g"] == pytest.approx(error[..., 1].mean())
    assert 0 < eye["repeating-decoded.square"] < eye["grain-decoded.square"] < 256 * 100 * eye["even.blocks"]
    ours = file_figures(scene, "calotype", [5000])
    assert ours["calotype-5000.bytes"] <= 5000 // 16 and ours["calotype-5000.fits"] == 1
    recipe = file_figures(scene, "recipe-2022", [5000, 1024])
    metrics = [f"recipe-2022-{budget}.{name}" for budget in (5000, 1024) for name in METRICS]
    assert {name for name in recipe if not name.endswith(("bytes", "fits"))} == set(metrics)
    assert recipe["recipe-2022-5000.dists"] == recipe["recipe-2022-1024.dists"] > 0
    assert codecs_here(OTHERS[-1:]) == (["recipe-2022"], {})


@pytest.mark.skipif(not (ASSETS / "data").is_dir(), reason="set CALOTYPE_ASSETS: there are no pictures")
@pytest.mark.parametrize(("pool", "least"), [("kodak", 24), ("held-out", 39)])
def test_pools_have_pictures_that_are_large_enough(pool: str, least: int) -> None:
    pictures = POOLS[pool](512)
    assert len({path.name for path in pictures}) == len(pictures) >= least
    assert all(min(load_rgb(path).shape[:2]) >= 512 for path in pictures[:2])
