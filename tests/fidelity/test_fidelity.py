"""The scores of invention and loss: the calibration, and obvious cases."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import calotype
from calotype.errors import SourceError
from calotype.fidelity import Fidelity, FidelityRegion, load_calibration
from calotype.fidelity.measure import picture_fidelity
from calotype.imaging import EVERYTHING, load_picture
from calotype.models import ModelCache

SIDE = 128


def scene(*, window: bool) -> NDArray[np.uint8]:
    """A wall with a gradient, and perhaps one window in it; uint8[128, 128, 3]."""
    wall = np.add.outer(np.linspace(120, 150, SIDE), np.linspace(0, 20, SIDE)).astype(np.uint8)
    image = Image.fromarray(wall).convert("RGB")
    if window:
        draw = ImageDraw.Draw(image)
        draw.rectangle((48, 32, 79, 79), fill=(40, 50, 70), outline=(220, 220, 210), width=3)
        draw.line((64, 32, 64, 79), fill=(220, 220, 210), width=2)
    return np.asarray(image)


def fidelity_of(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> Fidelity:
    network = ModelCache(1).features(load_calibration().activations)
    picture = load_picture(original, limits=calotype.Limits(), strict=True, keep=EVERYTHING)
    return picture_fidelity(picture.rgb, picture.alpha, Image.fromarray(decoded), network)


def test_the_calibration_is_that_of_the_embedded_encoder() -> None:
    """After new weights: python -m benchmarks.truth --calibrate."""
    encoder = files("calotype.models") / "weights" / "pocket-240-encoder.onnx"
    assert load_calibration().encoder == hashlib.sha256(encoder.read_bytes()).hexdigest()


def test_an_equal_picture_has_neither_invention_nor_loss() -> None:
    found = fidelity_of(scene(window=True), scene(window=True))
    assert found.invention < 0.2 and found.loss < 0.2
    assert found.changed == 0
    assert found.regions() == []


@pytest.mark.parametrize("shown", [True, False])
def test_a_window_that_comes_or_goes(shown: bool) -> None:
    found = fidelity_of(scene(window=not shown), scene(window=shown))
    wanted, other = (found.invented, found.lost) if shown else (found.lost, found.invented)
    assert wanted[2:5, 3:5].min() > 0.5
    assert wanted[2:5, 3:5].mean() > other[2:5, 3:5].mean()
    assert max(wanted[7].max(), wanted[:, 7].max()) < 0.5
    (region,) = found.regions(1)
    assert (region.invented > region.lost) == shown
    assert region.left <= 48 and region.top <= 32
    assert region.left + region.width >= 80 and region.top + region.height >= 80


def test_the_map_is_red_where_structure_was_invented() -> None:
    found = fidelity_of(scene(window=False), scene(window=True))
    heat = np.asarray(found.heat_map(Image.fromarray(scene(window=True))), np.int64)
    assert heat.shape == (SIDE, SIDE, 3)
    assert (heat[40:70, 56:60, 0] > heat[40:70, 56:60, 2] + 50).all()
    assert (heat[120:, 120:, 0] == heat[120:, 120:, 2]).all()


def test_regions_and_scores_of_known_blocks() -> None:
    invented = np.zeros((5, 40), np.float32)
    lost = invented.copy()
    invented[0, :3], lost[4, 38:], invented[2, 20], lost[2, 20] = 0.9, 0.8, 0.7, 0.7
    found = Fidelity(633, 79, invented, lost)
    assert [region.kind for region in found.regions()] == ["invented", "lost", "replaced"]
    assert found.regions(2) == [
        FidelityRegion(0, 0, 48, 16, 0.9, 0.0),
        FidelityRegion(608, 64, 25, 15, 0.0, 0.8),
    ]
    assert found.invention == pytest.approx(0.9)  # the hundredth of 200 blocks: 2
    assert found.loss == pytest.approx(0.8)
    assert found.changed == pytest.approx(6 / 200)
    assert found.as_dict() == {"invention": 0.9, "loss": 0.8, "changed": 0.03}


def test_what_is_transparent_does_not_count() -> None:
    hidden = np.dstack([scene(window=True), np.zeros((SIDE, SIDE), np.uint8)])
    shown = np.dstack([scene(window=False), np.zeros((SIDE, SIDE), np.uint8)])
    assert fidelity_of(hidden, shown).changed == 0


def test_any_size_and_grey_pictures() -> None:
    grey = scene(window=True)[:37, :51, 0]
    found = fidelity_of(grey, grey)
    assert found.invented.shape == found.lost.shape == (3, 4)
    assert found.heat_map(Image.fromarray(grey)).size == (51, 37)


def test_pictures_of_different_sizes() -> None:
    with pytest.raises(SourceError, match="photograph has 128x128 pixels, but the file's picture 128x64"):
        fidelity_of(scene(window=True), scene(window=True)[:64])


@pytest.mark.slow
def test_verify_decodes_the_file() -> None:
    data = calotype.encode(scene(window=True), quality=90, effort=1)
    true, false = (calotype.verify(scene(window=window), data) for window in (True, False))
    assert false.invention > true.invention
    with pytest.raises(ValueError, match="reduce"):
        calotype.verify(scene(window=True), data, reduce=8)
