from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from calotype.errors import FormatError
from calotype.imaging import fill_hidden, load_picture, over_white, pack_alpha, unpack_alpha
from calotype.limits import Limits

deterministic = settings(derandomize=True, deadline=None, database=None)
sides = st.integers(1, 40)
planes = arrays(np.uint8, st.tuples(sides, sides), elements=st.sampled_from([0, 0, 0, 1, 128, 255]))


def disc(size: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - size / 2, y - size / 2)
    return (np.clip(size / 3 - distance, 0, 1) * 255).astype(np.uint8)


def webp(plane: NDArray[np.uint8], **options: object) -> bytes:
    file = io.BytesIO()
    Image.merge("RGB", [Image.fromarray(plane)] * 3).save(file, "WEBP", **options)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@deterministic
@given(planes)
def test_planes_survive_exactly(plane: NDArray[np.uint8]) -> None:
    height, width = plane.shape
    unpacked = unpack_alpha(pack_alpha(plane), width, height)
    assert unpacked.dtype == np.uint8
    np.testing.assert_array_equal(unpacked, plane)


def test_the_smaller_file_is_taken() -> None:
    plane = disc(200)
    data = pack_alpha(plane)
    assert data[8:12] == b"WEBP"
    assert len(data) < len(png(Image.fromarray(plane)))


def test_both_kinds_are_read() -> None:
    plane = disc(20)
    for data in (png(Image.fromarray(plane)), webp(plane, lossless=True)):
        np.testing.assert_array_equal(unpack_alpha(data, 20, 20), plane)


def test_planes_too_long_for_webp() -> None:
    plane = np.zeros((2, 16_384), np.uint8)
    plane[1, 16_383] = 7
    data = pack_alpha(plane)
    assert data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(unpack_alpha(data, 16_384, 2), plane)


@pytest.mark.parametrize(
    "data", [png(Image.new("L", (9, 8))), webp(np.zeros((8, 9), np.uint8), lossless=True)]
)
def test_another_size_is_refused(data: bytes) -> None:
    assert unpack_alpha(data, 9, 8).shape == (8, 9)
    with pytest.raises(FormatError, match="has 9x8 pixels, but the picture 8x9"):
        unpack_alpha(data, 8, 9)


def test_a_claimed_size_is_compared_before_a_reader_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    vast = bytearray(webp(disc(8), lossless=True))
    vast[21:25] = (0x3FFF | 0x3FFF << 14).to_bytes(4, "little")
    monkeypatch.setattr("calotype.imaging.alpha.WebPImageFile", None)
    with pytest.raises(FormatError, match="has 16384x16384 pixels, but the picture 8x8"):
        unpack_alpha(bytes(vast), 8, 8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"opacity",
        webp(disc(8)),  # lossy
        png(Image.new("RGB", (8, 8))),
        png(Image.new("1", (8, 8))),
        png(Image.new("I;16", (8, 8))),
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="the alpha plane"):
        unpack_alpha(data, 8, 8)


@pytest.mark.parametrize("data", [png(Image.fromarray(disc(16))), webp(disc(16), lossless=True)])
def test_damage_is_refused_or_read_as_a_plane(data: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_alpha(data[: len(data) // 2], 16, 16)
    for end in range(len(data)):
        with suppress(FormatError):  # of a PNG the last bytes are not pixels
            np.testing.assert_array_equal(unpack_alpha(data[:end], 16, 16), disc(16))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        with suppress(FormatError):
            assert unpack_alpha(bytes(damaged), 16, 16).shape == (16, 16)


@deterministic
@given(planes, st.integers(0, 2**32 - 1))
def test_visible_colours_are_left_alone(plane: NDArray[np.uint8], seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*plane.shape, 3), dtype=np.uint8)
    before = rgb.copy()
    filled = fill_hidden(rgb, plane)
    assert (filled.dtype, filled.shape) == (np.uint8, rgb.shape)
    np.testing.assert_array_equal(filled[plane > 0], before[plane > 0])
    np.testing.assert_array_equal(rgb, before)


@deterministic
@given(planes)
def test_hidden_colours_have_no_influence(plane: NDArray[np.uint8]) -> None:
    rgb = np.full((*plane.shape, 3), (10, 200, 90), np.uint8)
    expected = rgb if plane.any() else np.full_like(rgb, 128)
    rgb = np.where(plane[..., None] > 0, rgb, np.random.default_rng(1).integers(0, 256, rgb.shape, np.uint8))
    np.testing.assert_array_equal(fill_hidden(rgb, plane), expected)


def test_the_fill_is_smooth_and_stays_between_its_surroundings() -> None:
    y, x = np.mgrid[:96, :96]
    rgb = np.stack([2 * x, 2 * y, x + y], -1).astype(np.uint8)
    hole = np.hypot(x - 50, y - 40) < 25
    noisy = rgb.copy()
    noisy[hole] = np.random.default_rng(0).integers(0, 256, (int(hole.sum()), 3))
    filled = fill_hidden(noisy, np.where(hole, 0, 255).astype(np.uint8)).astype(int)
    assert max(np.abs(np.diff(filled, axis=axis)).max() for axis in (0, 1)) <= 30
    assert np.abs(filled - rgb)[hole].mean() < 12


def test_loading_fills_what_is_hidden() -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[..., :3] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    rgba[:16] = (90, 60, 30, 255)
    picture = load_picture(rgba, limits=Limits(), strict=True)
    np.testing.assert_array_equal(picture.rgb, np.full((32, 32, 3), (90, 60, 30)))
    np.testing.assert_array_equal(picture.alpha, rgba[..., 3])


def test_transparent_parts_lie_on_white() -> None:
    rgb = np.full((2, 3, 3), (0, 100, 200), np.uint8)
    alpha = np.array([[0, 128, 255]] * 2, np.uint8)
    shown = over_white(rgb, alpha)
    assert shown.tolist() == [[[255, 255, 255], [127, 177, 227], [0, 100, 200]]] * 2
    assert over_white(rgb, None) is rgb
