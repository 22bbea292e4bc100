from __future__ import annotations

import io

import numpy as np
import pytest
from icc_profiles import ADOBE_RGB, grey_profile, rgb_profile
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import GPS, IFD, Base, Interop

from calotype.errors import CalotypeWarning, OutputError
from calotype.imaging import FORMATS, Metadata, load_picture, pack_picture, to_pillow_image
from calotype.imaging.tiff import read_entries
from calotype.limits import Limits

Y, X = np.mgrid[:16, :24]
COLOURS = np.stack([96 + 2 * X, 150 - 3 * Y, 100 + X + Y], -1).astype(np.uint8)
ALPHA = np.random.default_rng(9).integers(1, 255, (16, 24), dtype=np.uint8)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
PROFILES = {"RGB": rgb_profile(ADOBE_RGB, 2.2), "L": grey_profile(1.8)}
MODES = [(grey, alpha) for grey in (False, True) for alpha in (False, True)]


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[Base.Make] = "Talbot"
    tags[Base.XResolution] = 300.0
    tags[Base.TileWidth] = 256  # of another file
    tags[IFD.Exif] = {
        Base.ExposureTime: 0.25,
        Base.MakerNote: bytes(range(99)),
        IFD.Interop: {Interop.InteropIndex: "R98"},
    }
    tags[IFD.GPSInfo] = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (51.0, 24.0, 49.0)}
    return tags


def shown(data: bytes) -> np.ndarray:
    """What a viewer that heeds profiles shows, in sRGB."""
    return load_picture(io.BytesIO(data), limits=Limits(), strict=True).rgb.astype(float)


@pytest.mark.parametrize(("grey", "alpha"), MODES)
@pytest.mark.parametrize("name", FORMATS)
def test_the_colours_are_the_same_in_every_format(name: str, grey: bool, alpha: bool) -> None:
    chosen = FORMATS[name]
    if alpha and not chosen.alpha:
        pytest.skip("refused before decoding")
    rgb = np.repeat(COLOURS[..., 1:2], 3, -1) if grey else COLOURS
    mode = "L" if grey else "RGB"
    image = to_pillow_image(rgb, ALPHA if alpha else None, grey, Metadata(icc=PROFILES[mode]))
    assert np.abs(np.asarray(image.convert(mode), float).reshape(16, 24, -1) - rgb).max() > 4
    data = pack_picture(image, chosen)
    lossy = name in ("jpg", "avif")
    np.testing.assert_allclose(shown(data), rgb, atol=6 if lossy else 2)
    with Image.open(io.BytesIO(data)) as read:
        profile_read = read.info.get("icc_profile")
        assert profile_read == (PROFILES[mode] if mode in chosen.profiles else None)
        if profile_read is not None:  # a profile for greys belongs to grey pixels, and the other way round
            assert (read.mode.removesuffix("A") == "L") == grey
        if alpha and name != "avif":
            np.testing.assert_array_equal(np.asarray(read.getchannel("A")), ALPHA)


def test_the_picture_is_left_as_it_was() -> None:
    image = to_pillow_image(COLOURS, None, False, Metadata(icc=PROFILES["RGB"], xmp=XMP))
    before = image.tobytes(), dict(image.info)
    with pytest.warns(CalotypeWarning):
        pack_picture(image, FORMATS["bmp"])
    assert (image.tobytes(), image.info) == before


def test_profiles_that_cannot_be_converted_are_refused_where_they_cannot_be_held() -> None:
    image = Image.fromarray(COLOURS)
    image.info["icc_profile"] = b"junk"
    assert Image.open(io.BytesIO(pack_picture(image, FORMATS["png"]))).info["icc_profile"] == b"junk"
    with pytest.raises(OutputError, match="cannot be written as BMP, which holds no such ICC profile"):
        pack_picture(image, FORMATS["bmp"])


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].metadata])
def test_exif_with_directories_survives(name: str, alpha: bool) -> None:
    if alpha and not FORMATS[name].alpha:
        pytest.skip("refused before decoding")
    profile = PROFILES["RGB"]
    image = to_pillow_image(
        COLOURS, ALPHA if alpha else None, False, Metadata(profile, exif().tobytes()[6:], XMP)
    )
    data = pack_picture(image, FORMATS[name])
    with Image.open(io.BytesIO(data)) as read:
        tags = read.getexif()
        assert tags[Base.Make] == "Talbot"
        assert tags[Base.XResolution] == 300
        assert tags.get_ifd(IFD.GPSInfo)[GPS.GPSLatitude] == (51.0, 24.0, 49.0)
        assert tags.get_ifd(IFD.Exif)[Base.ExposureTime] == 0.25
        assert tags.get_ifd(IFD.Exif)[Base.MakerNote] == bytes(range(99))
        assert tags.get_ifd(IFD.Interop)[Interop.InteropIndex] == "R98"
        read.load()
        assert read.info["icc_profile"] == profile
        xmp = read.info.get("xmp") or read.info["XML:com.adobe.xmp"]
        assert (xmp.encode() if isinstance(xmp, str) else xmp).strip(b"\0") == XMP
    if name not in ("jpg", "avif"):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(image))


@pytest.mark.parametrize("endian", ["<", ">"])
def test_compressed_tiff_files_are_read(endian: str) -> None:
    image = Image.fromarray(np.tile(COLOURS, (40, 40, 1)))  # several strips
    tags = exif()
    tags.endian = endian
    image.info["exif"] = tags.tobytes()
    data = pack_picture(image, FORMATS["tiff"])
    with Image.open(io.BytesIO(data)) as read:
        assert isinstance(read, TiffImagePlugin.TiffImageFile)
        assert read.info["compression"] == "tiff_adobe_deflate"
        tags_in_file = list(read_entries(data, read.tag_v2._offset, "<")[0])
        assert tags_in_file == sorted(tags_in_file)  # as TIFF wants it
        assert Base.TileWidth not in read.tag_v2
        assert read.tag_v2[Base.Make] == "Talbot"
        np.testing.assert_array_equal(np.asarray(read), np.asarray(image))


@pytest.mark.parametrize("damaged", [b"junk", b"II*\0\xff\xff\xff\xff", exif().tobytes()[6:60]])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Possibly corrupt EXIF", "ignore:EXIF left out")
def test_damaged_exif_costs_no_picture(damaged: bytes) -> None:
    image = Image.fromarray(COLOURS)
    image.info["exif"] = b"Exif\0\0" + damaged
    for name in ("png", "tiff"):
        data = pack_picture(image, FORMATS[name])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), COLOURS)


def test_exif_that_is_left_out_is_reported() -> None:
    image = Image.fromarray(COLOURS)
    image.info["exif"] = b"Exif\0\0junk"
    with pytest.warns(CalotypeWarning, match="EXIF left out: it is damaged"):
        pack_picture(image, FORMATS["tiff"])


@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].metadata])
def test_metadata_that_a_format_cannot_hold_are_reported(name: str) -> None:
    image = to_pillow_image(COLOURS, None, False, Metadata(None, exif().tobytes()[6:], XMP))
    with pytest.warns(
        CalotypeWarning, match=f"EXIF and XMP left out: {FORMATS[name].pillow} files cannot hold such data"
    ):
        pack_picture(image, FORMATS[name])


def test_metadata_that_are_too_long_for_jpeg_cost_no_picture() -> None:
    image = Image.fromarray(COLOURS)
    image.info["xmp"] = XMP + b" " * 70_000
    image.info["exif"] = exif().tobytes()
    with pytest.warns(CalotypeWarning, match="^XMP left out: JPEG files cannot hold so much"):
        data = pack_picture(image, FORMATS["jpg"])
    with Image.open(io.BytesIO(data)) as read:
        assert read.getexif()[Base.Make] == "Talbot"
    image.info["xmp"] = XMP.ljust(65_500)
    image.info["exif"] = exif().tobytes().ljust(65_500, b"\0")
    with Image.open(io.BytesIO(pack_picture(image, FORMATS["jpg"]))) as read:
        assert read.info["xmp"] == image.info["xmp"]
