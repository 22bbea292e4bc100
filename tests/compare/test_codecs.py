"""The codecs under a budget of bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.compare.codecs import (
    CODECS,
    CalotypeCodec,
    PaletteCodec,
    PillowCodec,
    UncodableError,
    avif,
    codec_makers,
    decode_with_pillow,
    jpeg,
    jpeg_xl,
    largest_file_within,
    webp,
)
from calotype.errors import CalotypeError, ModelError

Pixels = NDArray[np.uint8]


def test_search_finds_the_largest_quality_that_fits() -> None:
    for budget in range(10, 1010):
        data, fits = largest_file_within(lambda quality: bytes(10 * quality), budget, 1, 100)
        assert fits and len(data) == min(budget // 10 * 10, 1000)


def test_search_never_exceeds_the_budget_when_sizes_are_not_monotonous() -> None:
    sizes = np.random.default_rng(0).integers(1, 200, 101)
    for budget in range(200):
        data, fits = largest_file_within(lambda quality: bytes(sizes[quality]), budget, 0, 100)
        assert len(data) <= budget if fits else len(data) == sizes[0]


def test_search_returns_the_smallest_when_nothing_fits() -> None:
    assert largest_file_within(lambda quality: bytes(50 + quality), 20, 3, 100) == (bytes(53), False)


@pytest.mark.parametrize("make", [jpeg, webp, lambda: avif(speed=9)], ids=["jpeg", "webp", "avif"])
def test_files_fit_and_more_bytes_are_better(make: Callable[[], PillowCodec], photo: Pixels) -> None:
    large, small, impossible = make().compress(photo, [4000, 2000, 10])
    assert large.fits and 2000 < large.size <= 4000
    assert small.fits and small.size <= 2000
    assert not impossible.fits and impossible.size > 10
    assert large.rgb.shape == small.rgb.shape == photo.shape
    errors = [np.mean((photo.astype(float) - coded.rgb) ** 2) for coded in (large, small)]
    assert errors[0] < errors[1] < 1000


def test_jpeg_is_progressive_with_subsampled_colour(photo: Pixels) -> None:
    with Image.open(io.BytesIO(jpeg().encode(photo, 50))) as image:
        assert image.info["progressive"]
        assert image.layer[1][1:3] == (1, 1) and image.layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]


def test_jpeg_xl_keeps_to_the_budget(photo: Pixels) -> None:
    pytest.importorskip("pillow_jxl")
    (coded,) = jpeg_xl().compress(photo, [4000])
    assert coded.fits and coded.size <= 4000


def test_calotype_meets_its_budget_or_gives_its_smallest_file(photo: Pixels) -> None:
    fitting, smallest = CalotypeCodec(threads=1, model="tiny").compress(photo, [1500, 10])
    assert fitting.fits and fitting.size <= 1500
    assert not smallest.fits and 10 < smallest.size < 1500
    assert fitting.rgb.shape == smallest.rgb.shape == photo.shape


def test_the_recipe_of_2022_has_one_size(photo: Pixels) -> None:
    large, small = PaletteCodec(threads=1, model="tiny").compress(photo, [100_000, 10])
    assert large.fits and not small.fits
    assert large.data == small.data and large.rgb.shape == photo.shape


def test_what_is_missing_is_a_model_error() -> None:
    with pytest.raises(ModelError, match=re.escape("calotype[compare]")):
        PillowCodec("X", ".x", "X", "image/x", {}, plugin="no_such_plugin")
    with pytest.raises(ModelError, match="does not write"):
        PillowCodec("X", ".x", "NO SUCH FORMAT", "image/x", {})
    with pytest.raises(ModelError, match="unknown model"):
        CalotypeCodec(model="nobody")


def test_makers_are_named_after_models_and_codecs() -> None:
    assert list(codec_makers(["tiny"], ["webp", "jpeg"])) == ["calotype-tiny", "webp", "jpeg"]
    with pytest.raises(CalotypeError, match="unknown codec 'bpg': there are jpeg"):
        codec_makers([], ["bpg"])
    assert set(CODECS) == {"jpeg", "webp", "avif", "jxl", "palette"}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2, 3), (48, 64, 3)], ids=str)
def test_small_pictures_reach_the_highest_quality(name: str, shape: tuple[int, ...]) -> None:
    if name == "jxl":
        pytest.importorskip("pillow_jxl")
    picture = np.full(shape, (200, 100, 50), np.uint8)
    (make,) = codec_makers((), (name,), threads=1).values()
    (coded,) = make().compress(picture, [100_000])
    assert coded.fits and coded.rgb.shape == shape


def test_a_picture_that_a_format_cannot_hold_is_reported() -> None:
    with pytest.raises(UncodableError, match=r"WebP cannot write a picture of 16384x1 pixels: .*16383"):
        webp().encode(np.zeros((1, 16_384, 3), np.uint8), 50)


def test_what_was_encoded_is_decoded_whatever_its_size(
    monkeypatch: pytest.MonkeyPatch, photo: Pixels
) -> None:
    data = jpeg().encode(photo, 90)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode_with_pillow(data).shape == photo.shape
