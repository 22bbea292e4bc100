from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import GPS, IFD, Base

from calotype.imaging import Metadata, Picture, load_picture, to_image
from calotype.limits import Limits

COLOURS = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3) * 5
PREFIX = b"Exif\0\0"
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="harbour"/></x:xmpmeta>'


def exif(orientation: int | None = None, endian: str = "<") -> bytes:
    tags = Image.Exif()
    tags.endian = endian
    tags[Base.Make] = "Talbot"
    if orientation is not None:
        tags[Base.Orientation] = orientation
    tags[IFD.GPSInfo] = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (51.0, 24.0, 49.0)}
    tags[IFD.Exif] = {Base.ExposureTime: 60.0}
    return tags.tobytes()


def saved(format_: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, format_, **options)
    return file


def load(source: io.BytesIO | Image.Image) -> Picture:
    return load_picture(source, limits=Limits(), strict=True)


def parsed(data: bytes | None) -> Image.Exif:
    assert data is not None
    tags = Image.Exif()
    tags.load(PREFIX + data)
    return tags


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_orientation_is_applied_and_reset(orientation: int, endian: str) -> None:
    file = saved("PNG", exif=exif(orientation, endian))
    picture = load(file)
    upright = ImageOps.exif_transpose(Image.open(file))
    np.testing.assert_array_equal(picture.rgb, np.asarray(upright))
    assert picture.rgb.flags.c_contiguous
    assert parsed(picture.metadata.exif)[Base.Orientation] == 1


def test_orientation_turns_alpha_too() -> None:
    rgba = np.dstack([COLOURS, COLOURS[..., 0] + 1])
    image = Image.fromarray(rgba)
    image.info["exif"] = exif(6)
    picture = load(image)
    np.testing.assert_array_equal(picture.rgb, np.rot90(COLOURS, -1))
    np.testing.assert_array_equal(picture.alpha, np.rot90(rgba[..., 3], -1))


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_formats_that_can_be_turned(format_: str, orientation: int) -> None:
    options = {"lossless": True} if format_ == "WEBP" else {}
    picture = load(saved(format_, exif=exif(orientation), **options))
    turns = {1: 0, 3: 2, 6: -1}[orientation]
    np.testing.assert_array_equal(picture.rgb, np.rot90(COLOURS, turns))
    assert parsed(picture.metadata.exif).get(Base.Orientation, 1) == 1


def test_only_the_orientation_is_changed() -> None:
    before = exif(8).removeprefix(PREFIX)
    after = load(saved("JPEG", exif=exif(8))).metadata.exif
    assert after is not None
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 1
    assert (before[changed[0]], after[changed[0]]) == (8, 1)


def test_exif_without_orientation_is_kept_as_it_is() -> None:
    assert load(saved("JPEG", exif=exif())).metadata.exif == exif().removeprefix(PREFIX)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_read_from(format_: str) -> None:
    tags = parsed(load(saved(format_, exif=exif(1))).metadata.exif)
    assert tags[Base.Make] == "Talbot"
    assert tags.get_ifd(IFD.GPSInfo)[GPS.GPSLatitude] == (51.0, 24.0, 49.0)
    assert tags.get_ifd(IFD.Exif)[Base.ExposureTime] == 60.0


def test_the_layout_of_a_tiff_file_is_not_exif() -> None:
    assert load(saved("TIFF")).metadata.exif is None
    tags = parsed(load(saved("TIFF", exif=exif())).metadata.exif)
    assert not {Base.StripOffsets, Base.ImageWidth} & set(tags)


def test_nothing_is_made_up() -> None:
    assert load(saved("PNG")).metadata == Metadata(None, None, None)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0\x08\0\0\0\0\0",
        b"II+\0\x08\0\0\0\0\0",
        b"II*\0" + struct.pack("<IHHHI", 8, 9, Base.Orientation, 3, 1),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_dropped_and_the_picture_kept(damaged: bytes) -> None:
    image = Image.fromarray(COLOURS)
    image.info["exif"] = PREFIX + damaged
    picture = load(image)
    np.testing.assert_array_equal(picture.rgb, COLOURS)
    assert picture.metadata.exif is None


def test_orientations_that_make_no_sense_are_ignored() -> None:
    for orientation in (0, 9, 65535):
        np.testing.assert_array_equal(load(saved("PNG", exif=exif(orientation))).rgb, COLOURS)


def test_xmp_is_kept_and_its_orientation_reset() -> None:
    picture = load(saved("JPEG", xmp=XMP, quality=100, subsampling=0))
    assert picture.metadata.xmp == XMP.replace(b'"6"', b'"1"')
    assert picture.rgb.shape == (5, 3, 3)


def test_xmp_as_text() -> None:
    image = Image.fromarray(COLOURS)
    image.info["XML:com.adobe.xmp"] = XMP.decode()
    picture = load(image)
    assert picture.metadata.xmp == XMP.replace(b'"6"', b'"1"')
    np.testing.assert_array_equal(picture.rgb, np.rot90(COLOURS, -1))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_metadata_of_decoded_images_can_be_saved(format_: str) -> None:
    before = load(saved("JPEG", exif=exif(6), xmp=XMP.replace(b"6", b"1"))).metadata
    image = to_image(COLOURS, metadata=before)
    assert image.info["exif"].startswith(PREFIX)
    file = io.BytesIO()
    image.save(file, format_, exif=image.info["exif"], xmp=image.info["xmp"])
    after = load(file).metadata
    assert after.exif == before.exif
    assert after.xmp == (None if format_ == "PNG" else before.xmp)  # Pillow's PNG writer takes no xmp
