"""Pictures that are coded at another size than they are shown at, with the tiny model (an 8x8 mosaic)."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.container import Coding, Header, parse_file
from calotype.encoding import stages
from calotype.encoding.prepare import PreparedPicture
from calotype.encoding.resolution import SCALES, larger_scale, starting_at_best_scale
from calotype.errors import FormatError, LimitError, TargetSizeError
from calotype.imaging import resample_picture
from calotype.limits import Limits

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(SAMPLE).convert("RGB").resize((256, 192))


def encoded(image: Image.Image | np.ndarray, **options: Any) -> tuple[bytes, calotype.Info]:
    data = calotype.encode(image, model="tiny", **options)
    return data, calotype.read_info(data)


def test_a_scale_that_is_asked_for(photo: Image.Image) -> None:
    data, info = encoded(photo, scale=0.5)
    assert (info.width, info.height, info.coded_width, info.coded_height) == (256, 192, 128, 96)
    small = calotype.encode(resample_picture(np.asarray(photo), 128, 96), model="tiny", scale=1)
    assert parse_file(data, limits=Limits()).payload == parse_file(small, limits=Limits()).payload
    enlarged = resample_picture(calotype.decode(small, model="tiny", as_array=True), 256, 192)
    assert np.array_equal(calotype.decode(data, model="tiny", as_array=True), enlarged)


@pytest.mark.parametrize("size", [(1, 1), (9, 17), (255, 31)])
@pytest.mark.parametrize("scale", [0.125, 0.7, 1.3, 2])
def test_any_size_at_any_scale(photo: Image.Image, size: tuple[int, int], scale: float) -> None:
    data, info = encoded(photo.resize(size), scale=scale)
    assert calotype.decode(data, model="tiny").size == size == (info.width, info.height)
    assert info.coded_width == -(-size[0] * round(scale * 64) // 64)


@pytest.mark.slow
def test_the_fewer_bytes_the_smaller_is_the_picture_that_is_coded(photo: Image.Image) -> None:
    coded, levels = [], []
    for target in (3000, 900, 250, 100, 50):
        data, info = encoded(photo, target_size=target)
        assert len(data) <= target
        assert calotype.decode(data, model="tiny").size == photo.size
        coded.append(info.coded_width)
        levels.append(info.level)
    assert coded[0] > 256
    assert coded[1] == 256
    assert coded == sorted(coded, reverse=True) and len(set(coded)) == 5
    assert all(level <= SCALES[width * 64 // 256] for level, width in zip(levels, coded, strict=True))


def test_the_next_larger_scale() -> None:
    def larger(coded_scale: int, level: int, **options: Any) -> tuple[int, int] | None:
        header = Header(
            coding=0,
            space=1,
            context_model=242,
            encoder=250,
            width=512,
            height=512,
            scale=coded_scale,
            level=0,
        )
        source = PreparedPicture(
            np.zeros((512, 512, 3), np.uint8),
            header,
            (),
            options.get("limits", Limits()),
            scale_is_given="scale" in options,
        )
        return larger_scale(replace(header, level=level), source)

    assert larger(40, 75) == (48, 88)
    assert larger(40, 103) == (48, 104)
    assert larger(max(SCALES), 75) is None
    assert larger(40, 75, scale=0.625) is None
    assert larger(64, 75, limits=Limits(max_pixels=512 * 512)) is None


@pytest.mark.slow
def test_the_option_scale_1_keeps_the_full_size(photo: Image.Image) -> None:
    for target in (100, 3000):
        _, info = encoded(photo, target_size=target, scale=1)
        assert (info.coded_width, info.coded_height) == (256, 192)
    _, info = encoded(photo, recipe="palette")
    assert info.coded_width == 256


@pytest.mark.slow
def test_a_target_out_of_reach_at_full_size(photo: Image.Image) -> None:
    with pytest.raises(TargetSizeError) as full:
        encoded(photo, target_size=60, scale=1)
    with pytest.raises(TargetSizeError) as caught:
        encoded(photo, target_size=20)
    assert 20 < caught.value.smallest < full.value.smallest
    assert len(encoded(photo, target_size=caught.value.smallest)[0]) <= caught.value.smallest


@pytest.mark.slow
def test_quality_is_bytes_whatever_the_scale(photo: Image.Image) -> None:
    """A file takes what it would at full size, and spends it better.

    At effort 4 there is no closed loop, which changes the size at a level.
    """
    qualities = (0, 10, 40, 100)
    files = [encoded(photo, quality=quality, effort=4) for quality in qualities]
    assert files[0][1].coded_width < 256 == files[2][1].coded_width < files[3][1].coded_width
    sizes = [len(data) for data, _ in files]
    at_full = [len(encoded(photo, quality=quality, scale=1, effort=4)[0]) for quality in qualities]
    assert sizes == sorted(sizes)
    assert all(0.97 * full <= size <= full for size, full in zip(sizes, at_full, strict=True))


def test_small_pictures_are_not_made_smaller(photo: Image.Image) -> None:
    _, info = encoded(photo.resize((40, 32)), quality=0)
    assert info.coded_width == 40


def test_the_coded_size_keeps_to_the_limits(photo: Image.Image) -> None:
    limits = Limits(max_pixels=256 * 192)
    data, info = encoded(photo, quality=100, limits=limits)
    assert info.coded_width == 256
    calotype.decode(data, model="tiny", limits=limits)
    with pytest.raises(LimitError, match="512x384"):
        encoded(photo, scale=2, limits=limits)
    with pytest.raises(LimitError, match="512x384"):
        calotype.decode(encoded(photo, scale=2)[0], model="tiny", limits=limits)


def test_alpha_and_grey_are_of_the_size_to_show(photo: Image.Image) -> None:
    alpha = np.tile(np.arange(256, dtype=np.uint8), (192, 1))
    source = np.dstack([np.asarray(photo.convert("L"))] * 3 + [alpha])
    data, info = encoded(source, scale=0.3125)
    decoded = calotype.decode(data, model="tiny")
    assert (info.mode, decoded.mode, info.coded_width) == ("LA", "LA", 80)
    assert np.array_equal(np.asarray(decoded)[..., 1], alpha)


@pytest.mark.slow
def test_several_at_once_and_through_pillow(photo: Image.Image) -> None:
    options = {"model": "tiny", "target_size": 150}
    files = list(calotype.Codec(threads=1).encode_many([photo, photo.resize((64, 64))], **options))
    assert files[0] == calotype.encode(photo, **options)
    assert [calotype.read_info(data).width for data in files] == [256, 64]
    calotype.register_pillow()
    file = io.BytesIO()
    photo.save(file, "CALOTYPE", model="tiny", scale=0.25)
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        assert opened.size == photo.size
        assert parse_file(file.getvalue(), limits=Limits()).header.coded_size == (64, 48)


@pytest.mark.parametrize("scale", [0.0, 0.1, 2.1, -1.0])
def test_scales_out_of_range_are_refused(photo: Image.Image, scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        encoded(photo, scale=scale)


def test_a_scale_that_was_changed_on_the_way(photo: Image.Image) -> None:
    data, _ = encoded(photo, scale=0.5)
    position = 16  # behind two bytes of the width and two of the height
    assert data[position] == 32
    with pytest.raises(FormatError):
        calotype.decode(data[:position] + b"\x21" + data[position + 1 :], model="tiny")


def test_an_average_photograph_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder starts at the scale of an average photograph; for another scale it would encode again."""
    monkeypatch.setattr(stages, "_latents_of", lambda *_: pytest.fail("encoded again"))
    photo = Image.open(SAMPLE.with_name("coffee.png")).convert("RGB").resize((256, 192))
    data = calotype.encode(photo, target_size=470, effort=4)
    assert calotype.read_info(data).coded_width == 224


def test_the_scale_to_start_at(photo: Image.Image) -> None:
    header = Header(
        coding=Coding.HIERARCHICAL, space=1, context_model=242, encoder=240, width=512, height=512, level=0
    )
    picture = PreparedPicture(np.zeros((512, 512, 3), np.uint8), header, (), Limits(), scale_is_given=False)
    scales = [starting_at_best_scale(picture, size).header.scale for size in (200, 1250, 2500, 5000, 20000)]
    assert scales == sorted(scales) and scales[0] < 64 < scales[-1]
    given = replace(picture, scale_is_given=True)
    palette = replace(picture, header=replace(header, coding=Coding.PALETTE, context_model=0))
    for unchanged, size in ((picture, None), (given, 1250), (palette, 1250)):
        assert starting_at_best_scale(unchanged, size) is unchanged
