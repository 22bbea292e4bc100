"""Colour spaces that a file names otherwise than by an ICC profile."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, rgb_profile, to_srgb
from numpy.typing import NDArray
from picture_files import avif, bmp, box, jp2, png, raw_profile, rgb_png
from PIL import Image
from PIL.ExifTags import IFD, Base, Interop
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging import Picture, load_picture, to_pillow_image
from calotype.imaging.boxes import heif_colours, jp2_colours
from calotype.limits import Limits

COLOURS = np.random.default_rng(3).integers(96, 160, (16, 16, 3), dtype=np.uint8)
GREYS = np.arange(256, dtype=np.uint8).reshape(16, 16)
BT2020 = np.array([[0.67350, 0.16566, 0.12508], [0.27904, 0.67534, 0.04562], [-0.00193, 0.02998, 0.79686]])
ADOBE_XY = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_XY = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def load(source: io.BytesIO | Image.Image, strict: bool = True) -> Picture:
    return load_picture(source, limits=Limits(), strict=strict)


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100_000))


def chrm(xy: tuple[float, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in xy))


def cicp(*codes: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes(codes)


def check(picture: Picture, primaries: NDArray[np.float64], gamma: float) -> None:
    expected = to_srgb(COLOURS, primaries, gamma)
    assert np.abs(expected - COLOURS).max() > 4
    np.testing.assert_allclose(picture.rgb, expected, atol=1.5)
    # Kept, the space is a profile; decoded, the pixels are in it again.
    assert picture.metadata.icc is not None
    back = to_pillow_image(picture.rgb, metadata=picture.metadata)
    np.testing.assert_allclose(np.asarray(back, float), COLOURS, atol=2)


def unchanged(picture: Picture) -> None:
    np.testing.assert_array_equal(picture.rgb, COLOURS)
    assert picture.metadata.icc is None


def test_png_by_gamma_and_primaries() -> None:
    check(load(rgb_png(COLOURS, gama(1.0))), SRGB, 1.0)
    check(load(rgb_png(COLOURS, gama(1 / 1.8))), SRGB, 1.8)
    check(load(rgb_png(COLOURS, gama(1 / 2.2), chrm(ADOBE_XY))), ADOBE_RGB, 2.2)


def test_png_by_primaries_alone() -> None:
    assert np.abs(load(rgb_png(COLOURS, chrm(ADOBE_XY))).rgb.astype(float) - COLOURS).max() > 4


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(0.45455)],
        [gama(0.45455), chrm(SRGB_XY)],
        [chrm(SRGB_XY)],
        [gama(1.0), chrm(ADOBE_XY), (b"sRGB", b"\0")],  # the chunk sRGB stands above the others
        [cicp(1, 13, 0, 1), gama(1.0)],
        [cicp(2, 2, 0, 1)],  # unspecified
    ],
)
def test_png_that_is_srgb(chunks: list[tuple[bytes, bytes]]) -> None:
    unchanged(load(rgb_png(COLOURS, *chunks)))


def test_png_by_code_points() -> None:
    check(load(rgb_png(COLOURS, cicp(12, 4, 0, 1))), DISPLAY_P3, 2.2)
    check(load(rgb_png(COLOURS, cicp(9, 4, 0, 1), gama(1.0))), BT2020, 2.2)
    check(load(rgb_png(COLOURS, cicp(1, 8, 0, 1))), SRGB, 1.0)
    linear = np.where(
        COLOURS < 0.081 * 255, COLOURS / 255 / 4.5, ((COLOURS / 255 + 0.099) / 1.099) ** (1 / 0.45)
    )
    for transfer in (1, 6, 14, 15):
        picture = load(rgb_png(COLOURS, cicp(1, transfer, 0, 1)))
        np.testing.assert_allclose(picture.rgb, to_srgb(255 * linear, SRGB, 1.0), atol=1)


def test_code_points_stand_above_a_profile_in_png_alone() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.2)
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG", icc_profile=profile)
    data = file.getvalue()
    chunk = rgb_png(COLOURS, cicp(12, 4, 0, 1)).getvalue()[33 : 33 + 16]
    check(load(io.BytesIO(data[:33] + chunk + data[33:])), DISPLAY_P3, 2.2)
    check(load(io.BytesIO(data)), ADOBE_RGB, 2.2)


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([cicp(9, 16, 0, 1)], r"high dynamic range \(PQ\)"),
        ([cicp(9, 18, 0, 1)], r"high dynamic range \(HLG\)"),
        ([cicp(3, 13, 0, 1)], "primaries have the code 3"),
        ([cicp(1, 9, 0, 1)], "transfer function has the code 9"),
        ([cicp(1, 13, 1, 1)], "matrix 1"),
        ([cicp(1, 13, 0, 0)], "range 0"),
        ([gama(0.0)], "gamma .* is invalid"),
        ([gama(20_000.0)], "gamma .* is invalid"),
        ([chrm((0.3, 0.0, *ADOBE_XY[2:]))], "are not valid colours"),
        ([chrm(ADOBE_XY[:2] * 4)], "are not valid colours"),
    ],
)
def test_spaces_that_cannot_be_converted(chunks: list[tuple[bytes, bytes]], reason: str) -> None:
    file = rgb_png(COLOURS, *chunks)
    with pytest.warns(CalotypeWarning, match=f"cannot be converted, and is taken for sRGB: .*{reason}"):
        unchanged(load(file, strict=False))
    with pytest.raises(SourceError, match=reason):
        load(file)


def test_high_dynamic_range_with_a_profile_for_others() -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG", icc_profile=rgb_profile(ADOBE_RGB, 2.2))
    data = file.getvalue()
    chunk = rgb_png(COLOURS, cicp(9, 16, 0, 1)).getvalue()[33 : 33 + 16]
    check(load(io.BytesIO(data[:33] + chunk + data[33:])), ADOBE_RGB, 2.2)


def test_grey_stays_grey() -> None:
    picture = load(png((16, 16), 8, 0, [row.tobytes() for row in GREYS], [gama(1.0), chrm(ADOBE_XY)]))
    assert picture.grey
    expected = to_srgb(np.repeat(GREYS[..., None], 3, 2), SRGB, 1.0)
    np.testing.assert_allclose(picture.rgb, expected, atol=1)
    assert picture.metadata.icc is not None  # one for greys
    assert (
        to_pillow_image(picture.rgb, None, True, picture.metadata).info["icc_profile"] == picture.metadata.icc
    )


def test_palettes_and_alpha_are_converted_to_srgb_too() -> None:
    palette = np.array([[100, 110, 120], [150, 140, 130]], np.uint8)
    indexed = png((8, 1), 1, 3, [b"\x55"], [gama(1.0), (b"PLTE", palette.tobytes()), (b"tRNS", b"\xff\x40")])
    picture = load(indexed)
    np.testing.assert_allclose(picture.rgb[0, :2], to_srgb(palette, SRGB, 1.0), atol=1)
    assert picture.alpha is not None
    assert picture.alpha[0, :2].tolist() == [255, 0x40]


def test_images_that_pillow_has_loaded() -> None:
    image = Image.open(rgb_png(COLOURS, gama(1.0)))
    image.load()
    check(load(image), SRGB, 1.0)
    check(load(image.copy()), SRGB, 1.0)
    unread = Image.open(rgb_png(COLOURS, cicp(12, 4, 0, 1)))
    check(load(unread), DISPLAY_P3, 2.2)


def test_files_that_pillow_has_loaded(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(rgb_png(COLOURS, cicp(12, 4, 0, 1)).getvalue())
    image = Image.open(path)
    image.load()
    check(load(image), DISPLAY_P3, 2.2)
    path.write_bytes(rgb_png(COLOURS[1:], cicp(9, 4, 0, 1)).getvalue())  # another picture by now
    unchanged(load(image))
    path.unlink()
    unchanged(load(image))


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 4), (9, 4)])
def test_avif_by_code_points(primaries: int, transfer: int) -> None:
    file = avif(COLOURS // 4 + 96, primaries, transfer)
    pixels = np.asarray(Image.open(file))
    expected = to_srgb(pixels, {12: DISPLAY_P3, 9: BT2020}[primaries], 2.2)
    np.testing.assert_allclose(load(file).rgb, expected, atol=1.5)
    assert np.abs(expected - pixels).max() > 3


def test_avif_that_is_srgb_or_of_high_dynamic_range() -> None:
    np.testing.assert_allclose(load(avif(COLOURS, 1, 13)).rgb, COLOURS, atol=2)
    with pytest.raises(SourceError, match="HLG"):
        load(avif(COLOURS, 9, 18))


def test_any_damage_to_boxes_is_survived() -> None:
    whole = avif(COLOURS, 12, 4).getvalue()
    for position in range(whole.index(b"mdat")):
        for file in (whole[:position], whole[:position] + b"\xff" + whole[position + 1 :]):
            with suppress(LookupError, struct.error):
                heif_colours(io.BytesIO(file))
    with pytest.raises(SourceError):
        load(io.BytesIO(whole.replace(b"pitm", b"xxxx")))


def test_the_colour_space_of_jpeg_2000_is_applied() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.2)
    picture = load(jp2(COLOURS, b"\2\0\0" + profile))
    check(picture, ADOBE_RGB, 2.2)
    assert picture.metadata.icc == profile
    unchanged(load(jp2(COLOURS, b"\1\0\0" + struct.pack(">I", 16))))
    romm = load(jp2(COLOURS, b"\1\0\0" + struct.pack(">I", 21)))
    assert romm.rgb.mean() > COLOURS.mean() + 8
    with pytest.raises(SourceError, match="the number 20 in JPEG 2000"):
        load(jp2(COLOURS, b"\1\0\0" + struct.pack(">I", 20)))
    assert jp2_colours(io.BytesIO(box(b"jp2h", b""))).icc is None


def test_bmp_of_version_5() -> None:
    masks = bytes(16)
    profile = rgb_profile(ADOBE_RGB, 2.2)
    after_pixels = 124 + COLOURS.size
    tail = struct.pack("<4I", 4, after_pixels, len(profile), 0)
    picture = load(bmp(COLOURS, masks + b"DEBM" + bytes(48) + tail, profile))
    check(picture, ADOBE_RGB, 2.2)
    assert picture.metadata.icc == profile
    with pytest.raises(SourceError, match="its profile is in another file"):
        load(bmp(COLOURS, masks + b"KNIL" + bytes(48) + tail, b"C:\\a.icc"))
    unchanged(load(bmp(COLOURS, masks + b"BGRs" + bytes(48 + 16))))


def test_bmp_with_calibrated_colours() -> None:
    ends = [ADOBE_XY[i] for i in range(2, 8)]
    xyz = [value for i in (0, 2, 4) for value in (ends[i], ends[i + 1], 1 - ends[i] - ends[i + 1])]
    calibrated = struct.pack("<9I", *(round(value * 2**30) for value in xyz))
    gamma = struct.pack("<3I", *[round(2.2 * 65536)] * 3)
    check(load(bmp(COLOURS, bytes(16) + bytes(4) + calibrated + gamma)), ADOBE_RGB, 2.2)
    unchanged(load(bmp(COLOURS, bytes(16) + bytes(4) + bytes(48))))  # nothing is said


def test_a_linear_qoi_file_is_converted_to_srgb() -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "QOI")
    data = bytearray(file.getvalue())
    data[13] = 0
    unchanged(load(io.BytesIO(data)))
    data[13] = 1
    check(load(io.BytesIO(data)), SRGB, 1.0)


def tiff_tags(**tags: object) -> io.BytesIO:
    directory = ImageFileDirectory_v2()
    for name, value in tags.items():
        directory[Base[name]] = value
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "TIFF", tiffinfo=directory)
    return file


def test_tiff_by_primaries_and_transfer_function() -> None:
    adobe = {"WhitePoint": ADOBE_XY[:2], "PrimaryChromaticities": ADOBE_XY[2:]}
    check(load(tiff_tags(**adobe)), ADOBE_RGB, 2.2)
    linear = [257 * i for i in range(256)]
    check(load(tiff_tags(TransferFunction=linear)), SRGB, 1.0)
    check(load(tiff_tags(**adobe, TransferFunction=linear * 3)), ADOBE_RGB, 1.0)
    with pytest.raises(SourceError, match="for each channel"):
        load(tiff_tags(TransferFunction=linear * 2 + linear[::-1]))
    with pytest.raises(SourceError, match="damaged"):
        load(tiff_tags(TransferFunction=linear[:-1]))
    unchanged(load(tiff_tags(PrimaryChromaticities=SRGB_XY[2:])))


@pytest.mark.parametrize("option", [False, True])
def test_adobe_rgb_by_exif(option: bool) -> None:
    exif = Image.Exif()
    exif[IFD.Exif] = {Base.ColorSpace: 0xFFFF if option else 2}
    if option:
        exif[IFD.Exif][IFD.Interop] = {Interop.InteropIndex: "R03"}
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG", exif=exif)
    image = Image.open(file)
    check(load(image), ADOBE_RGB, 563 / 256)


@pytest.mark.parametrize("space", [1, 0xFFFF])
def test_exif_that_names_no_other_space(space: int) -> None:
    exif = Image.Exif()
    exif[IFD.Exif] = {Base.ColorSpace: space, IFD.Interop: {Interop.InteropIndex: "R98"}}
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG", exif=exif)
    unchanged(load(file))


def test_a_profile_of_imagemagick() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.2)
    picture = load(rgb_png(COLOURS, raw_profile("icc", profile)))
    check(picture, ADOBE_RGB, 2.2)
    assert picture.metadata.icc == profile


def test_profiles_that_pillow_cannot_unpack() -> None:
    broken_png = rgb_png(COLOURS, (b"iCCP", b"name\0\0" + b"no zlib at all"))
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "JPEG", icc_profile=bytes(100_000), quality=100, subsampling=0)
    lost_part = io.BytesIO(file.getvalue().replace(b"ICC_PROFILE\0\2", b"ICC_XXXXXXX\0\2"))
    for source in (broken_png, lost_part):
        with pytest.warns(
            CalotypeWarning, match="ICC profile that cannot be used and is ignored: it is damaged"
        ):
            np.testing.assert_allclose(load(source, strict=False).rgb, COLOURS, atol=4)
        with pytest.raises(SourceError, match="it is damaged"):
            load(source)
