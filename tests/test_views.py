"""Smaller pictures and parts of pictures: how they are made, and that they agree with the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_files import GOLDEN, LIMITS, golden, ignoring_warnings
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from view_samples import TINY, photograph, pixels, psnr

import calotype
from calotype import DecodeOptions, ProgressiveDecoder
from calotype.container import parse_file
from calotype.decoding import OpenedFile, decode_latents
from calotype.entropy import SiteNet
from calotype.errors import BoxError, ChecksumError, TruncatedError
from calotype.models import tiling

# Parts


@ignoring_warnings
@pytest.mark.parametrize("name", sorted(GOLDEN))
@pytest.mark.parametrize("reduce", [1, 8, 16])
def test_a_part_is_that_part_of_the_whole(name: str, reduce: int) -> None:
    data = golden(name)
    whole = calotype.decode(data, reduce=reduce, **TINY)
    full = calotype.read_info(data)
    assert whole.size == (-(-full.width // reduce), -(-full.height // reduce))
    rng = np.random.default_rng(1)
    for _ in range(6):
        left, top = (int(rng.integers(side)) for side in (full.width, full.height))
        right, bottom = (
            int(rng.integers(low, side)) + 1 for low, side in ((left, full.width), (top, full.height))
        )
        part = calotype.decode(data, reduce=reduce, box=(left, top, right, bottom), **TINY)
        box = (left // reduce, top // reduce, -(-right // reduce), -(-bottom // reduce))
        expected = whole.crop(box)
        assert (part.mode, part.size) == (whole.mode, expected.size)
        # Pillow keeps the corner of what it resamples in single precision.
        difference = np.asarray(part).astype(int) - np.asarray(expected)
        assert np.abs(difference).max() <= (1 if full.scaled else 0)
        assert part.info.keys() == whole.info.keys()


@pytest.mark.slow
def test_a_part_by_pocket_is_that_part_of_the_whole() -> None:
    """With the same noise, and whatever the corner: odd latents, a scaled picture, a small one."""
    for size, scale, boxes in (
        ((200, 120), 1.0, [(72, 8, 200, 64), (9, 17, 10, 120)]),
        ((120, 100), 0.75, [(33, 20, 90, 71)]),
        ((40, 30), 1.0, [(17, 3, 29, 30)]),
    ):
        data = calotype.encode(photograph(*size), effort=1, quality=40, scale=scale)
        whole = calotype.decode(data, as_array=True).astype(int)
        for box in boxes:
            left, top, right, bottom = box
            part = calotype.decode(data, as_array=True, box=box)
            assert np.abs(part - whole[top:bottom, left:right]).max() <= 1


@pytest.mark.parametrize(
    ("box", "error", "sentence"),
    [
        ((0, 0, 25, 24), BoxError, r"the box \(0, 0, 25, 24\) leaves the picture, which is 24x24 pixels"),
        ((3, 24, 9, 30), BoxError, "leaves the picture"),
        ((-1, 0, 5, 5), ValueError, "begin within"),
        ((5, 5, 5, 9), ValueError, "empty"),
        ((5, 9, 9, 5), ValueError, "empty"),
        ((1, 2, 3), ValueError, "four sides"),
        ((0, 0, 4.5, 5), TypeError, "right of box"),
        ((0, 0, True, 5), TypeError, "right of box"),
        ([0, 0, 5, 5], TypeError, "a tuple"),
        ("0,0,5,5", TypeError, "box"),
    ],
)
def test_invalid_boxes_are_refused(box: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        calotype.decode(golden("rgb-24x24"), box=box, **TINY)


def test_a_box_is_compared_with_the_picture_before_anything_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SiteNet, "features", None)
    with pytest.raises(BoxError):
        calotype.decode(golden("rgb-24x24"), box=(0, 0, 25, 24), **TINY)
    arriving = ProgressiveDecoder(box=(0, 0, 25, 24))
    with pytest.raises(BoxError):
        arriving.feed(golden("rgb-24x24"))


def test_a_part_takes_the_decoder_only_for_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "MAX_POSITIONS", 16 * 16)
    data = calotype.encode(photograph(512, 384), effort=1, quality=10, scale=1, **TINY)
    pixel_counts: list[int] = []
    original = tiling._pixels_to_bytes
    monkeypatch.setattr(
        tiling, "_pixels_to_bytes", lambda array: pixel_counts.append(array[0].size) or original(array)
    )
    whole = pixels(data)
    assert sum(pixel_counts) == 512 * 384
    pixel_counts.clear()
    part = pixels(data, box=(200, 130, 264, 180))
    assert np.array_equal(part, whole[130:180, 200:264])
    assert sum(pixel_counts) <= (64 + 16) * (50 + 2 * 16)


# Smaller pictures


@ignoring_warnings
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_smaller_pictures_need_no_decoder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.decoding.pipeline.decode_all", None)
    data = golden(name)
    info = calotype.read_info(data)
    for reduce in (8, 16):
        image = calotype.decode(data, reduce=reduce)
        assert image.mode == info.mode
        assert image.size == (-(-info.width // reduce), -(-info.height // reduce))
        arriving = ProgressiveDecoder(reduce=reduce)
        arriving.feed(data)
        assert np.array_equal(np.asarray(arriving.picture()), np.asarray(image))
        strict = calotype.decode(data, reduce=reduce, strict=True)
        assert np.array_equal(np.asarray(strict), np.asarray(image))


def test_a_sixteenth_decodes_the_coarse_latents_only(monkeypatch: pytest.MonkeyPatch) -> None:
    data = golden("fine-64x64")
    sites: list[object] = []
    original = SiteNet.features
    monkeypatch.setattr(SiteNet, "features", lambda net, *given: sites.append(net) or original(net, *given))
    counts = {}
    for reduce in (1, 8, 16):
        sites.clear()
        OpenedFile.of(data, DecodeOptions(reduce=reduce))
        counts[reduce] = len(sites)
    assert counts == {1: 10, 8: 10, 16: 7}
    parsed = parse_file(data, limits=LIMITS)
    coarse, whole = decode_latents(parsed, 2), decode_latents(parsed)
    assert np.array_equal(coarse.latents, whole.latents[:, ::2, ::2])
    assert np.array_equal(coarse.conditional_mean, whole.conditional_mean[:, ::2, ::2])
    sites.clear()
    verified = decode_latents(parsed, 2, verify=True)
    assert len(sites) == 10
    assert np.array_equal(coarse.conditional_mean, verified.conditional_mean)


def test_damage_that_smaller_pictures_detect() -> None:
    """An eighth is verified like the whole, a sixteenth only if it is asked for."""
    data = bytearray(golden("fine-64x64"))
    data[parse_file(bytes(data), limits=LIMITS).payload_start - 1] ^= 1  # of the checksum
    damaged = bytes(data)
    with pytest.raises(ChecksumError):
        calotype.decode(damaged, reduce=8)
    with pytest.raises(ChecksumError):
        calotype.decode(damaged, reduce=16, strict=True)
    calotype.decode(damaged, reduce=16)
    with pytest.raises(TruncatedError):
        calotype.decode(damaged[:-1], reduce=16)


@ignoring_warnings
@pytest.mark.parametrize("reduce", [8, 16])
def test_smaller_pictures_of_every_prefix(reduce: int) -> None:
    data = golden("regions-first-112x80")
    arriving = ProgressiveDecoder(reduce=reduce)
    for size in range(0, len(data), 7):
        arriving.feed(data[size : size + 7])
        prefix = data[: size + 7]
        try:
            image = calotype.decode(prefix, reduce=reduce, partial=True)
        except TruncatedError:
            with pytest.raises(TruncatedError):
                arriving.picture()
            continue
        assert np.array_equal(np.asarray(image), np.asarray(arriving.picture()))
        assert image.info.get("partial", 1) == arriving.fraction


@pytest.mark.parametrize("reduce", [8, 16])
@pytest.mark.parametrize("scale", [1.0, 0.75, 1.25])
def test_smaller_pictures_show_the_photograph(reduce: int, scale: float) -> None:
    """By 3 dB more than a grey guess, and with its colours: of every fourth 8x8 pixels for 1/16."""
    photo = photograph(300, 200)
    image = calotype.decode(calotype.encode(photo, quality=50, effort=1, scale=scale), reduce=reduce)
    wanted = photo.reduce(reduce)
    guess = wanted.convert("L").filter(ImageFilter.GaussianBlur(1)).convert("RGB")
    assert psnr(image, wanted) > psnr(guess, wanted) + 3
    colours = np.asarray(image).mean((0, 1)) - np.asarray(wanted).mean((0, 1))
    assert np.abs(colours).max() < reduce / 2


def test_alpha_and_grey_are_reduced_like_the_colours() -> None:
    rgba = photograph(100, 75).convert("RGBA")
    alpha = np.zeros((75, 100), np.uint8)
    alpha[:, 37:] = 255
    rgba.putalpha(Image.fromarray(alpha))
    data = calotype.encode(rgba, effort=1, **TINY)
    image = calotype.decode(data, reduce=8)
    assert (image.mode, image.size) == ("RGBA", (13, 10))
    column = np.asarray(image.getchannel("A"))[3]
    assert column.tolist() == [0] * 4 + [96] + [255] * 8
    part = calotype.decode(data, reduce=8, box=(33, 0, 100, 9))
    assert part.size == (9, 2)
    assert np.asarray(part.getchannel("A"))[0].tolist() == [96] + [255] * 8
    grey = calotype.encode(photograph(100, 75).convert("L"), effort=1, **TINY)
    assert calotype.decode(grey, reduce=16).mode == "L"
    assert calotype.decode(grey, reduce=16, as_array=True).shape == (5, 7)


def test_metadata_stay_with_smaller_pictures() -> None:
    data = golden("rgba-40x24")
    whole, small = (calotype.decode(data, reduce=reduce, **TINY) for reduce in (1, 8))
    assert "decoder tiny" in whole.info.pop("provenance")
    assert "no decoder" in small.info.pop("provenance")
    assert small.info == whole.info and "icc_profile" in small.info
    assert calotype.decode(data, reduce=8, keep_metadata=False, provenance=False).info == {}


@pytest.mark.parametrize("reduce", [0, 2, 4, 32, -8])
def test_other_factors_are_refused(reduce: int) -> None:
    with pytest.raises(ValueError, match="1, 8, 16"):
        calotype.decode(golden("rgb-24x24"), reduce=reduce)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.data())
def test_any_view_of_any_picture(data: st.DataObject) -> None:
    """Every part has the size it should have, and is that part of the smaller picture."""
    width, height = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    scale = data.draw(st.sampled_from([None, 0.125, 0.3, 0.9, 1.5, 2]))
    file = calotype.encode(photograph(width, height), effort=1, quality=30, scale=scale, **TINY)
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    by = data.draw(st.sampled_from([1, 8, 16]))
    whole, part = pixels(file, reduce=by), pixels(file, reduce=by, box=box)
    expected = whole[box[1] // by : -(-box[3] // by), box[0] // by : -(-box[2] // by)]
    assert part.shape == expected.shape
    assert np.abs(part - expected).max() <= 1
