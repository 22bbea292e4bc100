from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from metadata_samples import COLOURS, PREFIX, XMP, exif, load, parsed, saved
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from PIL.ExifTags import GPS, IFD, Base, Interop
from PIL.PngImagePlugin import PngInfo

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging import FORMATS, Metadata, load_picture, pack_picture, to_pillow_image
from calotype.limits import Limits


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
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG", exif=exif(6))
    picture = load(file)
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


def test_pictures_without_metadata_get_none() -> None:
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
    if damaged:
        with pytest.raises(SourceError, match="has EXIF that is damaged and is left out"):
            load(image)
        with pytest.warns(CalotypeWarning, match="has EXIF that is damaged and is left out"):
            picture = load_picture(image, limits=Limits(), strict=False)
        # What is not to be kept is no reason to complain.
        assert load_picture(image, limits=Limits(), strict=True, keep=()).metadata == Metadata()
    else:
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


def test_xmp_as_text_is_kept() -> None:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    picture = load(saved("PNG", pnginfo=text))
    assert picture.metadata.xmp == XMP.replace(b'"6"', b'"1"')
    np.testing.assert_array_equal(picture.rgb, np.rot90(COLOURS, -1))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_metadata_of_decoded_images_can_be_saved(format_: str) -> None:
    before = load(saved("JPEG", exif=exif(6), xmp=XMP.replace(b"6", b"1"))).metadata
    image = to_pillow_image(COLOURS, metadata=before)
    assert image.info["exif"].startswith(PREFIX)
    file = io.BytesIO()
    image.save(file, format_, exif=image.info["exif"], xmp=image.info["xmp"])
    after = load(file).metadata
    assert after.exif == before.exif
    assert after.xmp == (None if format_ == "PNG" else before.xmp)  # Pillow's PNG writer takes no xmp


# Whatever returns another image, of the same size or not, turned or not.
OPERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "copy": lambda image: image.copy(),
    "convert": lambda image: image.convert("L"),
    "convert to the same mode": lambda image: image.convert("RGB"),
    "crop": lambda image: image.crop((0, 0, 4, 3)),
    "effect_spread": lambda image: image.effect_spread(0),
    "filter": lambda image: image.filter(ImageFilter.BLUR),
    "getchannel": lambda image: image.getchannel("G"),
    "merge": lambda image: Image.merge("RGB", image.split()),
    "point": lambda image: image.point(lambda value: value // 2),
    "quantize": lambda image: image.quantize(4),
    "reduce": lambda image: image.reduce(2),
    "resize": lambda image: image.resize((10, 6)),
    "rotate": lambda image: image.rotate(30),
    "rotate by hand": lambda image: image.rotate(-90, expand=True),
    "split": lambda image: image.split()[0],
    "transform": lambda image: image.transform((7, 3), Image.Transform.EXTENT, (0, 0, 5, 3)),
    "ImageEnhance": lambda image: ImageEnhance.Contrast(image).enhance(1.5),
    "ImageOps.exif_transpose": lambda image: ImageOps.exif_transpose(image),
    "ImageOps.fit": lambda image: ImageOps.fit(image, (4, 4)),
    "ImageOps.flip": ImageOps.flip,
    "ImageOps.invert": ImageOps.invert,
    "ImageOps.mirror": ImageOps.mirror,
    **{turn.name: lambda image, turn=turn: image.transpose(turn) for turn in Image.Transpose},
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("by_xmp", [False, True])
def test_what_an_operation_returns_is_upright_as_it_is_held(name: str, by_xmp: bool) -> None:
    options = {"xmp": XMP} if by_xmp else {"exif": exif(6)}
    changed = OPERATIONS[name](Image.open(saved("JPEG", **options)))
    picture = load(changed)
    np.testing.assert_array_equal(picture.rgb, np.asarray(changed.convert("RGB")))
    if picture.metadata.exif is not None:
        assert parsed(picture.metadata.exif).get(Base.Orientation, 1) == 1
    if picture.metadata.xmp is not None:
        assert b'Orientation="6"' not in picture.metadata.xmp


IN_PLACE: dict[str, Callable[[Image.Image], object]] = {
    "thumbnail": lambda image: image.thumbnail((3, 3)),
    "paste": lambda image: image.paste("red", (0, 0, 2, 2)),
    "putpixel": lambda image: image.putpixel((0, 0), (1, 2, 3)),
    "putalpha": lambda image: image.putalpha(7),
    "load": lambda image: image.load(),
    "draft": lambda image: image.draft("L", image.size),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_image_changed_in_place_keeps_its_orientation(name: str) -> None:
    image = Image.open(saved("JPEG", exif=exif(6)))
    IN_PLACE[name](image)
    held = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(load(image).rgb, np.rot90(held, -1))


def test_an_orientation_that_was_changed_in_memory() -> None:
    image = Image.open(saved("PNG", exif=exif(6)))
    ImageOps.exif_transpose(image, in_place=True)
    np.testing.assert_array_equal(load(image).rgb, np.rot90(COLOURS, -1))
    image = Image.open(saved("PNG", exif=exif(6)))
    image.getexif()[Base.Orientation] = 3
    np.testing.assert_array_equal(load(image).rgb, COLOURS[::-1, ::-1])
    image = Image.open(saved("PNG", exif=exif(6)))
    del image.getexif()[Base.Orientation]
    np.testing.assert_array_equal(load(image).rgb, COLOURS)


def test_exif_that_was_changed_in_memory_is_kept_so() -> None:
    image = Image.open(saved("JPEG", exif=exif(6)))
    tags = image.getexif()
    assert tags.get_ifd(IFD.GPSInfo)
    del tags[IFD.GPSInfo]
    tags[Base.Make] = "Fox"
    after = parsed(load(image).metadata.exif)
    assert IFD.GPSInfo not in after
    assert after[Base.Make] == "Fox"
    assert after.get(Base.Orientation, 1) == 1
    assert after.get_ifd(IFD.Exif)[Base.ExposureTime] == 60.0


def test_directories_within_directories_are_kept_when_exif_is_written_anew() -> None:
    tags = Image.Exif()
    tags[IFD.Exif] = {Base.ExposureTime: 60.0, IFD.Interop: {Interop.InteropIndex: "R98"}}
    image = Image.open(saved("JPEG", exif=tags))
    image.getexif()[Base.Make] = "Fox"
    tagged = Image.fromarray(COLOURS)
    tagged.info["exif"] = tags.tobytes()
    for source in (image, io.BytesIO(pack_picture(tagged, FORMATS["tiff"]))):
        tags = parsed(load(source).metadata.exif)
        assert tags.get_ifd(IFD.Exif)[Base.ExposureTime] == 60.0
        assert tags.get_ifd(IFD.Interop) == {Interop.InteropIndex: "R98"}
    image.getexif()[IFD.GPSInfo] = {GPS.GPSLatitudeRef: "S"}
    assert parsed(load(image).metadata.exif).get_ifd(IFD.GPSInfo) == {GPS.GPSLatitudeRef: "S"}


def test_exif_that_was_only_looked_at_is_kept_to_the_byte() -> None:
    image = Image.open(saved("JPEG", exif=exif(1)))
    image.getexif().get_ifd(IFD.GPSInfo)
    dict(image.getexif())
    before = image.getexif().tobytes()
    assert load(image).metadata.exif == exif(1).removeprefix(PREFIX)
    assert image.getexif().tobytes() == before
