from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from picture_files import png_chunk, raw_profile, rgb_png
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from PIL.ExifTags import GPS, IFD, Base, Interop
from PIL.PngImagePlugin import PngInfo

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging import FORMATS, Metadata, Picture, load_picture, pack_picture, to_pillow_image
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
def test_what_is_changed_in_place_is_turned_as_it_was(name: str) -> None:
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


@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_exif_as_imagemagick_writes_it(kind: str) -> None:
    pixels = rgb_png(COLOURS, raw_profile(kind, exif(1)))
    assert load(pixels).metadata.exif == exif(1).removeprefix(PREFIX)


@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_the_orientation_that_imagemagick_writes_is_applied(kind: str) -> None:
    picture = load(rgb_png(COLOURS, raw_profile(kind, exif(6))))
    np.testing.assert_array_equal(picture.rgb, np.rot90(COLOURS, -1))
    assert parsed(picture.metadata.exif)[Base.Orientation] == 1


@pytest.mark.parametrize("kind", ["xmp", "APP1"])
def test_xmp_as_imagemagick_writes_it(kind: str) -> None:
    prefix = b"http://ns.adobe.com/xap/1.0/\0" if kind == "APP1" else b""
    metadata = load(rgb_png(COLOURS, raw_profile(kind, prefix + XMP.replace(b"6", b"1")))).metadata
    assert metadata == Metadata(xmp=XMP.replace(b"6", b"1"))


@pytest.mark.parametrize(("kind", "what"), [("exif", "EXIF"), ("xmp", "XMP")])
def test_damaged_raw_profiles_are_reported(kind: str, what: str) -> None:
    _, data = raw_profile(kind, exif(1) if kind == "exif" else XMP)
    text = zlib.decompress(data.split(b"\0\0", 1)[1]).replace(b"4", b"", 1)
    file = rgb_png(COLOURS, (b"tEXt", f"Raw profile type {kind}\0".encode() + text))
    with pytest.raises(SourceError, match=f"has {what} that .*left out.* {kind} is damaged"):
        load(file)


RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
NOTE = 'xmlns:note="http://ns.adobe.com/xmp/note/"'


def packet(inner: str, wrapper: str = "", attributes: str = "") -> bytes:
    body = f"<rdf:RDF {RDF} {wrapper}>{inner}</rdf:RDF>"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/" {attributes}>{body}</x:xmpmeta>'.encode()


def with_extension(main: bytes, extension: bytes, guid: bytes, leave_out: int = -1) -> io.BytesIO:
    """A JPEG file with extended XMP in segments of 60,000 bytes, the last one first."""
    data = saved("JPEG", xmp=main).getvalue()
    segments = []
    for number, offset in enumerate(range(0, len(extension), 60_000)):
        part = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(extension), offset)
        part += extension[offset : offset + 60_000]
        if number != leave_out:
            segments.insert(0, b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part)
    place = data.index(b"\xff\xdb")
    return io.BytesIO(data[:place] + b"".join(segments) + data[place:])


GUID = b"0123456789ABCDEF" * 2
MAINS = [
    packet(f'<rdf:Description {NOTE} note:HasExtendedXMP="{GUID.decode()}"><a/></rdf:Description>'),
    packet(
        f"<rdf:Description><note:HasExtendedXMP>{GUID.decode()}</note:HasExtendedXMP><a/></rdf:Description>",
        NOTE,
    ),
]
LONG = packet(f"<rdf:Description><dc:b>{'b' * 90_000}</dc:b></rdf:Description>", 'xmlns:dc="urn:dc"')


@pytest.mark.parametrize("main", MAINS)
def test_extended_xmp_is_joined(main: bytes) -> None:
    xmp = load(with_extension(main, LONG, GUID)).metadata.xmp
    assert xmp is not None
    tree = ElementTree.fromstring(xmp)
    assert len(tree[0]) == 2
    assert tree[0][0].find("a") is not None
    text = tree[0][1].findtext("{urn:dc}b")
    assert text == "b" * 90_000
    assert b"HasExtendedXMP" not in xmp


@pytest.mark.parametrize(
    ("extension", "leave_out", "reason"),
    [
        (LONG, 0, "parts of it are missing"),
        (LONG, 1, "parts of it are missing"),
        (b"<x:xmpmeta>" + b"E" * 90_000 + b"</x:xmpmeta>", -1, "no RDF"),
        (LONG.replace(b"</dc:b>", b"</dc:c>"), -1, "well-formed XML"),
        (packet("", 'xmlns:x="urn:other"'), -1, "other namespaces"),
        (b"<a:RDF>" * 20_000, -1, "no RDF"),
        (b"<a:RDF " * 20_000, -1, "no RDF"),
    ],
)
def test_extended_xmp_that_cannot_be_joined_is_reported(
    extension: bytes, leave_out: int, reason: str
) -> None:
    file = with_extension(MAINS[0], extension, GUID, leave_out)
    with pytest.raises(SourceError, match=f"has extended XMP that is left out: .*{reason}"):
        load(file)
    with pytest.warns(CalotypeWarning, match="extended XMP"):
        picture = load_picture(file, limits=Limits(), strict=False)
    assert picture.metadata.xmp == MAINS[0]


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]>' + MAINS[0]
    with pytest.raises(SourceError, match="document type"):
        load(with_extension(bomb, LONG, GUID))


@pytest.mark.parametrize("filler", [b"a" * 2_000_000, b":" * 2_000_000, b" " * 2_000_000])
def test_hostile_xmp_takes_no_longer_to_read(filler: bytes) -> None:
    for hostile in (filler, filler + b":HasExtendedXMP" + filler):
        assert load(saved("PNG", pnginfo=_itxt(hostile))).metadata.xmp == hostile


def _itxt(xmp: bytes) -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=False)
    return info


def test_extended_xmp_of_an_image_without_its_file_is_reported() -> None:
    with pytest.raises(SourceError, match="extended XMP that is left out"):
        load(Image.open(with_extension(MAINS[0], LONG, GUID)).copy())


def psd(*resources: tuple[int, bytes]) -> io.BytesIO:
    """A grey PSD file of 5x3 pixels."""
    body = b"".join(
        b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)
        for number, data in resources
    )
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 1, 3, 5, 8, 1)
    pixels = struct.pack(">H", 0) + COLOURS[..., 0].tobytes()
    return io.BytesIO(head + bytes(4) + struct.pack(">I", len(body)) + body + bytes(4) + pixels)


def test_exif_and_xmp_of_photoshop() -> None:
    upright = XMP.replace(b"6", b"1")
    metadata = load(psd((1058, exif(1).removeprefix(PREFIX)), (1060, upright))).metadata
    assert metadata == Metadata(None, exif(1).removeprefix(PREFIX), upright)
    turned = load(psd((1058, exif(6).removeprefix(PREFIX))))
    np.testing.assert_array_equal(turned.rgb[..., 0], np.rot90(COLOURS[..., 0], -1))


def test_metadata_behind_the_pixels() -> None:
    data = saved("PNG").getvalue()
    end = data.index(b"IEND") - 4
    chunk = png_chunk(b"eXIf", exif(1).removeprefix(PREFIX))
    assert load(io.BytesIO(data[:end] + chunk + data[end:])).metadata.exif == exif(1).removeprefix(PREFIX)
