"""Regions of interest: boxes and masks that get finer latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype import Roi
from calotype.container import Header, Region, parse_file
from calotype.decoding import decode_latents
from calotype.encoding.interest import Interest, interest_regions, read_interest
from calotype.errors import SourceError
from calotype.limits import Limits
from calotype.options import EncodeOptions

SAMPLES = Path(__file__).parents[2] / "samples"
HEADER = Header(coding=0, space=1, context_model=242, encoder=250, width=160, height=120, level=0)


def covered(regions: tuple[Region, ...], shape: tuple[int, int]) -> np.ndarray:
    levels = np.zeros(shape, int)
    for region in regions:
        part = levels[region.top : region.top + region.height, region.left : region.left + region.width]
        assert part.shape == (region.height, region.width)
        np.maximum(part, region.levels, out=part)
    return levels


def test_boxes_cover_every_position_that_they_touch() -> None:
    weights = Interest((Roi(15, 8, 2, 9), Roi(16, 0, 144, 9, 0.5)), None).weights(HEADER)
    wanted = np.zeros((15, 20))
    wanted[:2, 2:] = 0.5
    wanted[1:3, 1:3] = 1
    np.testing.assert_array_equal(weights, wanted)


@pytest.mark.parametrize("scale", [16, 48, 88])
def test_boxes_and_masks_agree_at_every_scale(scale: int) -> None:
    header = Header(
        coding=0, space=1, context_model=242, encoder=250, width=158, height=119, level=0, scale=scale
    )
    mask = np.zeros((119, 158), np.uint8)
    mask[20:61, 37:100] = 255
    boxed = Interest((Roi(37, 20, 63, 41),), None).weights(header)
    masked = Interest((), mask).weights(header)
    assert boxed.shape == masked.shape
    assert np.abs(boxed.sum(0).astype(bool) ^ masked.sum(0).astype(bool)).sum() <= 2
    assert np.abs(boxed.sum(1).astype(bool) ^ masked.sum(1).astype(bool)).sum() <= 2


def test_levels_are_proportional_to_weights_and_limited_by_the_size() -> None:
    weights = np.zeros((15, 20), np.float32)
    weights[2:4, 3:8], weights[9:12, 1:3] = 1, 0.5
    regions = interest_regions(weights, 80, 10**6)
    assert set(regions) == {Region(3, 2, 5, 2, 28), Region(1, 9, 2, 3, 14)}
    assert interest_regions(weights, 40, 10**6)[0].levels == 8  # not below level 32
    few = interest_regions(weights, 80, 8 * 60)
    assert len(few) == 1 and few[0].levels < 28
    assert interest_regions(np.ones((64, 64), np.float32), 80, 8 * 500) == ()
    assert interest_regions(np.zeros((15, 20), np.float32), 80, 10**6) == ()


@pytest.mark.parametrize("bits", [8 * 500, 8 * 5000, 10**7])
def test_a_complicated_mask_takes_few_rectangles(bits: int) -> None:
    weights = np.random.default_rng(3).random((61, 83)).astype(np.float32)
    weights[weights < 0.93] = 0
    regions = interest_regions(weights, 90, bits)
    assert len(regions) <= 128 and len(regions) * 6 <= max(0.06 * bits / 8, 6)
    if regions:
        assert (covered(regions, weights.shape)[weights > 0] > 0).all()


def test_a_thousand_boxes_are_one_map() -> None:
    boxes = tuple(Roi(x % 150, x % 110, 9, 9) for x in range(1000))
    interest = read_interest(EncodeOptions(roi=boxes), 160, 120)
    assert interest is not None
    assert len(interest_regions(interest.weights(HEADER), 80, 10**5)) <= 128


def test_masks_are_joined(tmp_path: Path) -> None:
    for name, box in (("a.png", (0, 0, 8, 8)), ("b.png", (40, 16, 48, 24))):
        mask = Image.new("L", (160, 120))
        mask.paste(255, box)
        mask.save(tmp_path / name)
    options = EncodeOptions(roi=(tmp_path / "a.png", str(tmp_path / "b.png"), Roi(80, 80, 8, 8)))
    interest = read_interest(options, 160, 120)
    assert interest is not None
    assert sorted(zip(*np.nonzero(interest.weights(HEADER)), strict=True)) == [(0, 0), (2, 5), (10, 10)]


def test_what_does_not_fit_the_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="150,0,11,5,1 leaves the picture, which has 160x120 pixels"):
        read_interest(EncodeOptions(roi=(Roi(150, 0, 11, 5),)), 160, 120)
    Image.new("L", (120, 160)).save(tmp_path / "mask.png")
    with pytest.raises(SourceError, match="has 120x160 pixels, not 160x120"):
        read_interest(EncodeOptions(roi=(tmp_path / "mask.png",)), 160, 120)
    with pytest.raises(SourceError, match="missing"):
        read_interest(EncodeOptions(roi=(tmp_path / "missing.png",)), 160, 120)


@pytest.mark.parametrize("box", [(-1, 0, 4, 4), (0, 0, 0, 4), (0, 0, 4, 4, 0), (0, 0, 4, 4, 1.01)])
def test_impossible_boxes_are_refused(box: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="region"):
        Roi(*box)


def test_other_types_and_the_palette_are_refused() -> None:
    with pytest.raises(TypeError, match="roi"):
        EncodeOptions(roi=((0, 0, 4, 4),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="palette"):
        EncodeOptions(roi=(Roi(0, 0, 4, 4),), recipe="palette")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"target_size": 900, "effort": 1}, marks=pytest.mark.slow),
        {"quality": 40, "effort": 5, "scale": 1},
    ],
)
def test_a_region_comes_out_better_in_the_same_size(options: dict[str, float]) -> None:
    picture = Image.open(SAMPLES / "coffee.png").convert("RGB").crop((100, 60, 356, 252))
    plain = calotype.encode(picture, model="tiny", protect="none", **options)
    finer = calotype.encode(picture, model="tiny", protect="none", roi=(Roi(64, 48, 64, 64),), **options)
    levels = decode_latents(parse_file(finer, limits=Limits(), strict=True)).levels
    scale = levels.shape[1] / 32
    inside = levels[int(6 * scale) : int(14 * scale), int(8 * scale) : int(16 * scale)]
    assert inside.max() < levels[0, 0]
    if "target_size" in options:
        assert len(finer) <= 900

    finest = calotype.encode(picture, model="tiny", quality=100, scale=1, effort=1)
    wanted, before, after = (
        calotype.decode(data, model="tiny", as_array=True)[48:112, 64:128].astype(float)
        for data in (finest, plain, finer)
    )
    assert np.square(after - wanted).mean() < np.square(before - wanted).mean()
