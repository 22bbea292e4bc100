"""Pictures that are coded smaller than they are shown, with the tiny model (an 8x8 mosaic)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.container import parse
from calotype.errors import FormatError, TargetSizeError
from calotype.imaging import resized
from calotype.limits import Limits
from calotype.reduction import SCALES

SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.png"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(SAMPLE).convert("RGB").resize((256, 192))


def encoded(image: Image.Image | np.ndarray, **options: Any) -> tuple[bytes, calotype.Info]:
    data = calotype.encode(image, model="tiny", **options)
    return data, calotype.read_info(data)


def test_a_scale_that_is_asked_for(photo: Image.Image) -> None:
    data, info = encoded(photo, scale=0.5)
    assert (info.width, info.height, info.coded_width, info.coded_height) == (256, 192, 128, 96)
    small = calotype.encode(resized(np.asarray(photo), 128, 96), model="tiny", scale=1)
    assert parse(data, limits=Limits()).payload == parse(small, limits=Limits()).payload
    enlarged = resized(calotype.decode(small, model="tiny", as_array=True), 256, 192)
    assert np.array_equal(calotype.decode(data, model="tiny", as_array=True), enlarged)


@pytest.mark.parametrize("size", [(1, 1), (9, 17), (255, 31)])
@pytest.mark.parametrize("scale", [0.125, 0.7, 0.999])
def test_any_size_at_any_scale(photo: Image.Image, size: tuple[int, int], scale: float) -> None:
    data, info = encoded(photo.resize(size), scale=scale)
    assert calotype.decode(data, model="tiny").size == size == (info.width, info.height)
    assert info.coded_width == -(-size[0] * round(scale * 256) // 256)


def test_the_codec_reduces_where_bytes_are_few_and_only_there(photo: Image.Image) -> None:
    coded, levels = [], []
    for target in (2000, 400, 150, 60):
        data, info = encoded(photo, target_size=target)
        assert len(data) <= target
        assert calotype.decode(data, model="tiny").size == photo.size
        coded.append(info.coded_width)
        levels.append(info.level)
    assert coded[0] == 256 > coded[1] >= coded[2] > coded[3]
    assert max(levels) <= max(SCALES.values())


def test_no_reduction_if_the_user_says_so(photo: Image.Image) -> None:
    _, info = encoded(photo, target_size=400, scale=1)
    assert (info.coded_width, info.coded_height) == (256, 192)
    _, info = encoded(photo, recipe="palette")
    assert info.coded_width == 256


def test_a_target_out_of_reach_at_full_size(photo: Image.Image) -> None:
    with pytest.raises(TargetSizeError) as full:
        encoded(photo, target_size=60, scale=1)
    with pytest.raises(TargetSizeError) as caught:
        encoded(photo, target_size=20)
    assert 20 < caught.value.smallest < full.value.smallest
    assert len(encoded(photo, target_size=caught.value.smallest)[0]) <= caught.value.smallest


def test_quality_is_bytes_whatever_the_scale(photo: Image.Image) -> None:
    """Below some quality a file takes what it would at full size, and spends it better."""
    found = [encoded(photo, quality=quality) for quality in (0, 10, 20, 30, 60)]
    assert found[0][1].coded_width < 256 == found[-1][1].coded_width
    sizes = [len(data) for data, _ in found]
    assert sizes == sorted(sizes)
    at_full = [len(encoded(photo, quality=quality, scale=1)[0]) for quality in (0, 10)]
    assert [0.97 * size <= mine <= size for mine, size in zip(sizes, at_full, strict=False)] == [True, True]


def test_small_pictures_are_left_alone(photo: Image.Image) -> None:
    _, info = encoded(photo.resize((40, 32)), quality=0)
    assert info.coded_width == 40


def test_alpha_and_grey_are_of_the_size_to_show(photo: Image.Image) -> None:
    alpha = np.tile(np.arange(256, dtype=np.uint8), (192, 1))
    source = np.dstack([np.asarray(photo.convert("L"))] * 3 + [alpha])
    data, info = encoded(source, scale=0.3)
    decoded = calotype.decode(data, model="tiny")
    assert (info.mode, decoded.mode, info.coded_width) == ("LA", "LA", 77)
    assert np.array_equal(np.asarray(decoded)[..., 1], alpha)


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
        assert parse(file.getvalue(), limits=Limits()).header.coded_size == (64, 48)


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.5, -1.0])
def test_scales_out_of_range(photo: Image.Image, scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        encoded(photo, scale=scale)


def test_a_scale_that_was_changed_on_the_way(photo: Image.Image) -> None:
    data, _ = encoded(photo, scale=0.5)
    at = 16  # behind two bytes of the width and two of the height
    assert data[at] == 128
    with pytest.raises(FormatError):
        calotype.decode(data[:at] + b"\x81" + data[at + 1 :], model="tiny")
