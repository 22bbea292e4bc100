"""EXIF and XMP that ImageMagick and Photoshop pack in their own ways, and extended XMP."""

import io
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from metadata_samples import COLOURS, PREFIX, XMP, exif, load, parsed, saved
from picture_files import png_chunk, raw_profile, rgb_png
from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging import Metadata, load_picture
from calotype.limits import Limits


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
