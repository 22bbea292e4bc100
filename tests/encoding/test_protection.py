"""Which parts of a picture become patches, and that the file keeps to its size."""

from __future__ import annotations

import numpy as np
import pytest
from golden_files import ROOT
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import calotype
from calotype import EncodeOptions, Roi
from calotype.container import ChunkType, atlas_size, pack_patches, parse_file, unpack_patches
from calotype.encoding.patch_choice import FEATHER, PatchChoice, choose_patches, grown, matched_at_edges
from calotype.encoding.plan import Plan
from calotype.encoding.structure import box_mean, structural_similarity
from calotype.errors import ModelError
from calotype.limits import Limits

BOXES = ((12, 10, 70, 16), (100, 60, 80, 18))


def signs() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photograph with two lines of text, and the same without: what latents may make of it."""
    with Image.open(ROOT / "samples" / "coffee.png") as image:
        plain = image.convert("RGB").resize((200, 120))
    written = plain.copy()
    draw = ImageDraw.Draw(written)
    for (left, top, width, height), text in zip(BOXES, ("Harbour 12", "Museum 7"), strict=True):
        draw.rectangle((left, top, left + width, top + height), fill=(240, 240, 230))
        draw.text((left + 2, top), text, fill=(0, 0, 0), font=ImageFont.load_default(13))
    return np.asarray(written), np.asarray(plain)


def test_structural_similarity_ignores_the_mean() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(128, 40, (30, 40)).astype(np.float32)
    assert structural_similarity(noise, noise).min() > 0.999
    assert structural_similarity(noise, noise + 20).min() > 0.999
    assert structural_similarity(noise, 256 - noise).max() < -0.5
    assert abs(structural_similarity(noise, rng.normal(128, 40, (30, 40)).astype(np.float32)).mean()) < 0.2


def test_box_mean_repeats_the_edges() -> None:
    plane = np.zeros((5, 7), np.float32)
    plane[0, 0] = 9
    means = box_mean(plane, 1)
    assert means[0, 0] == pytest.approx(4)
    assert means[1, 1] == pytest.approx(1)
    assert means[3, 3] == pytest.approx(0)


def test_a_box_grows_by_its_feather_within_the_picture() -> None:
    assert grown((10, 20, 5, 6), (100, 100)) == (10 - FEATHER, 20 - FEATHER, 5 + 2 * FEATHER, 6 + 2 * FEATHER)
    assert grown((1, 0, 99, 100), (100, 100)) == (0, 0, 100, 100)


def test_patches_meet_the_colours_around_them() -> None:
    original, decoded = (np.full((60, 80, 3), value, np.uint8) for value in (100, 110))
    matched = matched_at_edges(original, decoded, [(10, 10, 60, 40)])
    assert matched[10, 40].tolist() == [110] * 3
    assert matched[30, 40].tolist() == [100] * 3
    assert matched[18, 40].tolist() == [105] * 3
    assert (matched[:10] == 100).all()


def test_lines_become_patches_as_far_as_the_bytes_go() -> None:
    original, decoded = signs()
    choices = [PatchChoice(box, 1.0) for box in BOXES]
    both = choose_patches(original, decoded, choices, 900)
    assert both is not None
    assert {rectangle[:2] for rectangle in both.rectangles} == {grown(box, (200, 120))[:2] for box in BOXES}
    assert len(pack_patches(both)) <= 900
    one = choose_patches(original, decoded, choices, 200)
    assert one is not None
    assert len(one.rectangles) == 1
    assert len(pack_patches(one)) <= 200
    assert choose_patches(original, decoded, choices, 12) is None


def test_what_latents_hold_needs_no_patch() -> None:
    original, decoded = signs()
    choices = [PatchChoice(box, 1.0) for box in BOXES]
    assert choose_patches(original, original, choices, 900) is None
    assert choose_patches(original, decoded, choices, 900, min_gain=1000) is None


@pytest.mark.slow
def test_a_greater_weight_comes_first() -> None:
    original, decoded = signs()
    for heavy in range(2):
        weights = [1.0 if number == heavy else 0.3 for number in range(2)]
        choices = [PatchChoice(box, weight) for box, weight in zip(BOXES, weights, strict=True)]
        patches = choose_patches(original, decoded, choices, 200)
        assert patches is not None
        assert [rectangle[:2] for rectangle in patches.rectangles] == [grown(BOXES[heavy], (200, 120))[:2]]


@pytest.mark.slow
def test_a_thousand_overlapping_regions_fit_into_the_atlas() -> None:
    original, decoded = signs()
    rng = np.random.default_rng(3)
    boxes = [(int(x), int(y), 60, 40) for x, y in rng.integers(0, 70, (1000, 2))]
    patches = choose_patches(original, decoded, [PatchChoice(box, 1.0) for box in boxes], 3000, min_gain=0.1)
    assert patches is not None
    width, height = atlas_size(patches.rectangles)
    assert width * height <= 200 * 120
    assert unpack_patches(pack_patches(patches), 200, 120) == patches


@pytest.mark.parametrize("protect", [(), "all", ("faces", "all"), ("none", "faces"), ("none", "auto")])
def test_other_names_cannot_be_protected(protect: str | tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="protect"):
        EncodeOptions(protect=protect)


def test_what_is_protected() -> None:
    assert EncodeOptions().protected == {"faces"}
    assert EncodeOptions(protect="none").protected == frozenset()
    assert EncodeOptions(protect="auto").protected == {"faces", "text?"}
    assert EncodeOptions(protect=("auto", "text")).protected == {"faces", "text"}
    plan = Plan.of(EncodeOptions(protect=("faces", "text")), 10, 10)
    assert (plan.faces, plan.text, plan.patches) == (True, True, True)
    assert not Plan.of(EncodeOptions(protect="text", effort=4), 10, 10).patches
    assert not Plan.of(EncodeOptions(protect="none"), 10, 10).patches


@pytest.mark.slow
def test_text_without_its_finder_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.models.text_finder.find_spec", lambda name: None)
    picture = Image.fromarray(signs()[0])
    codec = calotype.Codec()
    with pytest.raises(ModelError, match=r"calotype\[truth\]"):
        codec.encode(picture, model="tiny", protect="text", target_size=900)
    plain = codec.encode(picture, model="tiny", protect="none", target_size=900)
    assert codec.encode(picture, model="tiny", protect="auto", target_size=900) == plain


@pytest.mark.slow
def test_a_region_becomes_a_patch_within_the_same_size() -> None:
    original, _ = signs()
    regions = tuple(Roi(*box) for box in BOXES)
    data = calotype.encode(original, target_size=2500, roi=regions)
    assert len(data) <= 2500
    packed = parse_file(data, limits=Limits(), strict=True).chunk(ChunkType.PATCHES)
    assert packed is not None
    patches = unpack_patches(packed, 200, 120)
    assert {rectangle[:2] for rectangle in patches.rectangles} <= {
        grown(box, (200, 120))[:2] for box in BOXES
    }
    plain = calotype.encode(original, target_size=2500, roi=regions, protect="none")
    errors = []
    for file in (data, plain):
        difference = calotype.decode(file, as_array=True).astype(float) - original
        left, top, width, height = patches.rectangles[0]
        errors.append(np.square(difference[top : top + height, left : left + width]).mean())
    assert errors[0] < 0.5 * errors[1]
