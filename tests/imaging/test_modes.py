from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import PIL
import pytest
from picture_files import GREY, GREY_ALPHA, PALETTE, RGB, png, tiff
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


def test_rgb_is_left_as_it_is() -> None:
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


def test_one_bit_pictures_are_black_and_white() -> None:
    image = Image.fromarray(GREYS > 99)
    assert image.mode == "1"
    check_grey(load(image), np.where(GREYS > 99, 255, 0))
    check_grey(stored(image, "PNG"), np.where(GREYS > 99, 255, 0))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBX"])
def test_other_colour_modes_are_converted_to_rgb(mode: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    picture = load(image)
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert int(np.abs(picture.rgb.astype(int) - COLOURS).max()) <= 9


def test_lab_is_converted_to_srgb() -> None:
    muted = COLOURS // 2 + 64
    picture = load(Image.fromarray(muted).convert("LAB"))
    assert int(np.abs(picture.rgb.astype(int) - muted).max()) <= 9


def test_palettes_are_converted_to_rgb() -> None:
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
def test_alpha_of_every_mode_is_kept(mode: str) -> None:
    base = Image.fromarray(COLOURS if mode == "RGBA" else GREYS)
    image = base.convert("P") if mode == "PA" else base.copy()
    image.putalpha(Image.fromarray(ALPHA))
    assert image.mode == mode
    picture = load(image)
    np.testing.assert_array_equal(picture.alpha, ALPHA)
    np.testing.assert_array_equal(picture.rgb, np.asarray(base.convert("RGB")))
    assert picture.grey == (mode != "RGBA")


@pytest.mark.parametrize(("mode", "premultiplied"), [("RGBA", "RGBa"), ("LA", "La")])
def test_premultiplied_alpha_is_undone(mode: str, premultiplied: str) -> None:
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
def test_floating_point_samples_are_scaled_to_eight_bits(values: list[float], expected: list[int]) -> None:
    check_grey(load(Image.fromarray(np.array([values], np.float32))), np.array([expected]))


def test_the_image_is_left_as_it_was() -> None:
    image = Image.fromarray(COLOURS).convert("RGBA")
    before, info = image.tobytes(), dict(image.info)
    load(image)
    assert (image.tobytes(), image.mode, image.info) == (before, "RGBA", info)


def tiff_picture(pixels: np.ndarray, photometric: int, bits: int, sample_format: int = 1) -> Picture:
    return load_picture(tiff(pixels, photometric, bits, sample_format), limits=Limits(), strict=True)


def test_white_is_zero_in_every_depth() -> None:
    ramp = np.array([[0, 1000, 40_000, 65_535]], np.uint16)
    check_grey(tiff_picture(ramp, 0, 16), 255 - np.round(ramp / 257))
    check_grey(tiff_picture(ramp, 1, 16), np.round(ramp / 257))
    floats = np.array([[0, 0.25, 1]], np.float32)
    check_grey(tiff_picture(floats, 0, 32, 3), np.array([[255, 191, 0]]))
    bytes_ = np.array([[0, 1, 200, 255]], np.uint8)
    check_grey(tiff_picture(bytes_, 0, 8), 255 - bytes_)
    check_grey(tiff_picture(np.array([[0x0F, 0x84]], np.uint8), 0, 4), 255 - 17 * np.array([[0, 15, 8, 4]]))
    check_grey(tiff_picture(np.array([[0x1B]], np.uint8), 0, 2), 255 - 85 * np.array([[0, 1, 2, 3]]))
    check_grey(tiff_picture(np.array([[0x55]], np.uint8), 0, 1), np.array([[255, 0] * 4]))


def test_unsigned_32_bits_are_scaled_to_eight() -> None:
    values = np.array([[0, 2**30, 2**31 - 2**23, 2**31, 2**31 + 2**30, 2**32 - 1]], np.uint32)
    check_grey(tiff_picture(values, 1, 32), np.array([[0, 64, 127, 128, 191, 255]]))
    check_grey(tiff_picture(np.array([[0, 257, 65535]], np.uint32), 1, 32), np.array([[0, 1, 255]]))
    check_grey(
        tiff_picture(np.array([[-5, 2**30, 2**31 - 1]], np.int32), 1, 32, 2), np.array([[0, 128, 255]])
    )


def test_signed_16_bits_are_scaled_to_eight() -> None:
    values = np.array([[-7, 0, 16_384, 32_767]], np.int16)
    check_grey(tiff_picture(values, 1, 16, 2), np.array([[0, 0, 128, 255]]))
    check_grey(tiff_picture(np.array([[0, 7, 255]], np.int16), 1, 16, 2), np.array([[0, 7, 255]]))


def test_signed_8_bits_are_scaled_and_negative_ones_are_black() -> None:
    check_grey(
        tiff_picture(np.array([[-128, -1, 0, 64, 127]], np.int8), 1, 8, 2), np.array([[0, 0, 0, 129, 255]])
    )


def test_twelve_bits_are_scaled_to_eight() -> None:
    packed = np.array([[0x00, 0x08, 0x00, 0xFF, 0xF4, 0x00]], np.uint8)  # 0, 2048, 4095, 1024
    check_grey(tiff_picture(packed, 1, 12), np.array([[0, 128, 255, 64]]))


def test_dark_pictures_of_16_bits_stay_dark() -> None:
    values = np.array([[0, 128, 255]], ">u2")
    file = io.BytesIO(b"P5 3 1 65535\n" + values.tobytes())
    check_grey(load_picture(file, limits=Limits(), strict=True), np.array([[0, 0, 1]]))


def png_picture(*args: Any, **options: Any) -> Picture:
    return load_picture(png(*args, **options), limits=Limits(), strict=True)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_transparent_shade_of_grey_png_in_every_depth(depth: int) -> None:
    levels = (1 << depth) - 1
    shades = np.unique(np.linspace(0, levels, 8).round().astype(np.uint16))
    for key in (0, int(shades[len(shades) // 2]), levels):
        if depth == 16:
            row = shades.astype(">u2").tobytes()
        else:
            bits = "".join(f"{shade:0{depth}b}" for shade in shades)
            row = bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))
        picture = png_picture((len(shades), 1), depth, GREY, [row], [(b"tRNS", struct.pack(">H", key))])
        np.testing.assert_array_equal(picture.alpha, [np.where(shades == key, 0, 255)])
        shown = shades != key
        np.testing.assert_array_equal(picture.rgb[0, shown, 0], np.round(shades * (255 / levels))[shown])
        assert picture.grey


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_colour_of_rgb_png_in_every_depth(depth: int) -> None:
    key = (10, 20, 30) if depth == 8 else (0x0A14, 20, 0x1E00)
    near = [key, (key[0] ^ 1, *key[1:]), (key[0], key[1] ^ 1, key[2]), (*key[:2], key[2] ^ 1)]
    if depth == 16:
        near += [(key[0] ^ 0x100, *key[1:]), (0x0A00, 0, 0x1E00), (0x0A0A, 0x1414, 0x1E1E)]
    row = np.array(near, ">u2" if depth == 16 else np.uint8).tobytes()
    picture = png_picture((len(near), 1), depth, RGB, [row], [(b"tRNS", struct.pack(">HHH", *key))])
    np.testing.assert_array_equal(picture.alpha, [[0] + [255] * (len(near) - 1)])


def test_transparent_16_bit_colour_of_an_open_image_and_of_an_interlaced_one() -> None:
    row = struct.pack(">6H", 1, 2, 3, 4, 5, 6)
    for interlaced in (False, True):
        rows = [row[:6], row[6:]] if interlaced else [row]  # its passes 1 and 6
        file = png((2, 1), 16, RGB, rows, [(b"tRNS", struct.pack(">HHH", 4, 5, 6))], interlaced=interlaced)
        for source in (file, Image.open(file)):
            picture = load_picture(source, limits=Limits(), strict=True)
            np.testing.assert_array_equal(picture.alpha, [[255, 0]])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_entries_of_palettes_in_every_depth(depth: int) -> None:
    palette = bytes([9, 9, 9, 200, 0, 0])
    row = bytes([0x40 if depth == 1 else 0x10 if depth == 2 else 0x01]) + (b"\1" if depth == 8 else b"")
    row = b"\0\1" if depth == 8 else row
    for alphas in (b"\0", b"\xff\0", b"\x10\x20"):
        chunks = [(b"PLTE", palette), (b"tRNS", alphas)]
        picture = png_picture((2, 1), depth, PALETTE, [row], chunks)
        np.testing.assert_array_equal(picture.alpha, [list(alphas.ljust(2, b"\xff"))])


def test_depths_without_a_key_are_left_to_pillow() -> None:
    assert png_picture((4, 1), 4, GREY, [b"\x05\xaf"]).alpha is None
    assert png_picture((1, 1), 16, RGB, [bytes(6)]).alpha is None
    grey_alpha = png_picture((2, 1), 16, GREY_ALPHA, [struct.pack(">4H", 0, 0xFFFF, 0, 0x8000)])
    np.testing.assert_array_equal(grey_alpha.alpha, [[255, 128]])


@pytest.mark.parametrize("grey", [False, True])
def test_transparent_entry_of_gif(grey: bool) -> None:
    pixels = GREYS % 4
    image = Image.fromarray(pixels)
    image.putpalette([v for i in range(4) for v in ((i, i, i) if grey else (i, 9 * i, 200))])
    for entry in range(4):
        picture = stored(image, "GIF", transparency=entry)
        np.testing.assert_array_equal(picture.alpha, np.where(pixels == entry, 0, 255))


@pytest.mark.skipif(PIL.__version__ < "12", reason="older releases of Pillow cannot read it at all")
def test_transparent_colour_of_xpm() -> None:
    text = '/* XPM */\nstatic char *x[] = {\n"2 1 2 1",\n"a c None",\n"b c #ff0000",\n"ab"\n};\n'
    picture = load_picture(io.BytesIO(text.encode()), limits=Limits(), strict=True)
    np.testing.assert_array_equal(picture.alpha, [[0, 255]])
