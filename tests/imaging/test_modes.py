from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from calotype.imaging import Picture, load_picture
from calotype.limits import Limits

RNG = np.random.default_rng(7)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREYS = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
ALPHA = RNG.integers(1, 256, (5, 7), dtype=np.uint8)


def load(image: Image.Image) -> Picture:
    return load_picture(image, limits=Limits(), strict=True)


def stored(image: Image.Image, format_: str, **options: object) -> Picture:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return load_picture(file, limits=Limits(), strict=True)


def check_grey(picture: Picture, expected: np.ndarray) -> None:
    assert picture.rgb.dtype == np.uint8
    assert picture.grey
    np.testing.assert_array_equal(picture.rgb, np.stack([expected] * 3, -1))


def test_rgb() -> None:
    picture = load(Image.fromarray(COLOURS))
    np.testing.assert_array_equal(picture.rgb, COLOURS)
    assert (picture.alpha, picture.grey) == (None, False)


def test_grey_modes_are_grey() -> None:
    check_grey(load(Image.fromarray(GREYS)), GREYS)


def test_colour_modes_without_colour_are_grey() -> None:
    check_grey(load(Image.fromarray(GREYS).convert("RGB")), GREYS)
    almost = np.stack([GREYS] * 3, -1)
    almost[2, 3, 2] ^= 1
    assert not load(Image.fromarray(almost)).grey


def test_one_bit() -> None:
    image = Image.fromarray(GREYS > 99)
    assert image.mode == "1"
    check_grey(load(image), np.where(GREYS > 99, 255, 0))
    check_grey(stored(image, "PNG"), np.where(GREYS > 99, 255, 0))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBX"])
def test_other_colour_modes(mode: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    picture = load(image)
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert int(np.abs(picture.rgb.astype(int) - COLOURS).max()) <= 9


def test_lab() -> None:
    muted = COLOURS // 2 + 64
    picture = load(Image.fromarray(muted).convert("LAB"))
    assert int(np.abs(picture.rgb.astype(int) - muted).max()) <= 9


def test_palette() -> None:
    image = Image.fromarray(GREYS % 4).convert("P")
    palette = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7]
    image.putpalette(palette)
    picture = load(image)
    np.testing.assert_array_equal(picture.rgb, np.array(palette).reshape(4, 3)[GREYS % 4])
    assert picture.alpha is None


@pytest.mark.parametrize("transparency", [2, bytes([255, 128, 0, 9])])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    image = Image.fromarray(GREYS % 4).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
    picture = stored(image, "PNG", transparency=transparency)
    table = np.array([255, 255, 0, 255] if transparency == 2 else list(transparency))
    np.testing.assert_array_equal(picture.alpha, table[GREYS % 4])
    shown = GREYS % 4 != 2
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(picture.rgb[shown], expected[shown])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_modes(mode: str) -> None:
    base = Image.fromarray(COLOURS if mode == "RGBA" else GREYS)
    image = base.convert("P") if mode == "PA" else base.copy()
    image.putalpha(Image.fromarray(ALPHA))
    assert image.mode == mode
    picture = load(image)
    np.testing.assert_array_equal(picture.alpha, ALPHA)
    np.testing.assert_array_equal(picture.rgb, np.asarray(base.convert("RGB")))
    assert picture.grey == (mode != "RGBA")


@pytest.mark.parametrize(("mode", "premultiplied"), [("RGBA", "RGBa"), ("LA", "La")])
def test_premultiplied_alpha(mode: str, premultiplied: str) -> None:
    image = Image.new(mode, (4, 4), (200, 50) if mode == "LA" else (200, 200, 200, 50))
    picture = load(image.convert(premultiplied))
    assert picture.alpha is not None
    assert set(picture.alpha.ravel()) == {50}
    assert int(np.abs(picture.rgb.astype(int) - 200).max()) <= 3


def test_opaque_alpha_is_dropped() -> None:
    image = Image.fromarray(COLOURS)
    image.putalpha(255)
    assert load(image).alpha is None


def test_transparent_colour_of_rgb_and_of_grey() -> None:
    colour = tuple(int(v) for v in COLOURS[1, 2])
    alpha = stored(Image.fromarray(COLOURS), "PNG", transparency=colour).alpha
    np.testing.assert_array_equal(alpha, np.where((colour == COLOURS).all(-1), 0, 255))
    alpha = stored(Image.fromarray(GREYS), "PNG", transparency=int(GREYS[0, 0])).alpha
    np.testing.assert_array_equal(alpha, np.where(GREYS[0, 0] == GREYS, 0, 255))


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bit_is_scaled_not_clipped(format_: str) -> None:
    values = np.array([[0, 128, 129, 256, 257, 32768, 65406, 65407, 65535]], np.uint16)
    image = Image.fromarray(values)
    assert image.mode == "I;16"
    check_grey(stored(image, format_), np.round(values / 257))


def test_16_bit_big_endian() -> None:
    values = np.array([[0, 1000, 40000, 65535]], np.uint16)
    image = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    check_grey(load(image), np.round(values / 257))


def test_16_bit_transparent_shade() -> None:
    values = np.array([[0, 1000, 1001, 65535]], np.uint16)
    picture = stored(Image.fromarray(values), "PNG", transparency=1000)
    np.testing.assert_array_equal(picture.alpha, [[255, 0, 255, 255]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 7, 255], [0, 7, 255]),
        ([0, 257, 65535], [0, 1, 255]),
        ([-5, 256, 32768], [0, 1, 128]),
        ([0, 2**30, 2**31 - 1], [0, 128, 255]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_32_bit_integers(values: list[int], expected: list[int]) -> None:
    check_grey(load(Image.fromarray(np.array([values], np.int32))), np.array([expected]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 7.4, 255], [0, 7, 255]),
        ([0, 257, 65535], [0, 1, 255]),
        ([0, 1e20, 2e20], [0, 128, 255]),
        ([-3, np.nan, 1], [0, 0, 255]),
        ([0, np.inf, 1], [0, 0, 255]),
    ],
)
def test_floats(values: list[float], expected: list[int]) -> None:
    check_grey(load(Image.fromarray(np.array([values], np.float32))), np.array([expected]))


def test_the_image_is_left_as_it_was() -> None:
    image = Image.fromarray(COLOURS).convert("RGBA")
    before, info = image.tobytes(), dict(image.info)
    load(image)
    assert (image.tobytes(), image.mode, image.info) == (before, "RGBA", info)
