from __future__ import annotations

import io
import re
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from calotype.imaging import FORMATS, Provenance, pack_picture
from calotype.imaging.provenance import with_note

NOTE = Provenance("Calotype 9", "Decoded by Calotype 9 from 1,234 bytes <&> (encoder a, decoder b).")
COMMENT = b"ASCII\0\0\0" + NOTE.note.encode()
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<r:Description r:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Software="Camera"'
    b' xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    b' i:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>'
    b"</r:RDF></x:xmpmeta>"
)


def picture(**info: object) -> Image.Image:
    image = Image.fromarray(np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3))
    image.info = NOTE.as_info() | info
    return image


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].metadata])
def test_exif_and_xmp_say_what_made_the_picture(name: str) -> None:
    image = opened(pack_picture(picture(), FORMATS[name]))
    assert image.getexif()[Base.Software] == NOTE.software
    assert image.getexif().get_ifd(IFD.Exif)[Base.UserComment] == COMMENT
    xmp = image.info["xmp"].decode()
    assert f">{SOURCE_TYPE}<" in xmp
    assert NOTE.note.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in xmp


def test_png_has_text() -> None:
    image = opened(pack_picture(picture(), FORMATS["png"]))
    assert (image.info["Software"], image.info["Comment"]) == (NOTE.software, NOTE.note)


@pytest.mark.parametrize("name", ["jp2", "tga", "ppm"])
def test_formats_without_metadata_have_a_comment(name: str) -> None:
    data = pack_picture(picture(), FORMATS[name])
    assert NOTE.note.encode() in data
    np.testing.assert_allclose(np.asarray(opened(data), int), np.asarray(picture(), int), atol=0)


def test_a_picture_without_a_note_is_written_as_before() -> None:
    image = picture()
    image.info = {}
    for picture_format in FORMATS.values():
        assert b"Calotype" not in pack_picture(image, picture_format)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_what_exif_held_is_kept(endian: str) -> None:
    tags = Image.Exif()
    tags.endian = endian
    tags[Base.Make], tags[Base.Software] = "Talbot", "a camera's long name"
    tags[IFD.Exif] = {
        Base.ExposureTime: 0.25,
        Base.MakerNote: bytes(range(99)),
        Base.UserComment: b"ASCII\0\0\0hi",
    }
    before = tags.tobytes().removeprefix(b"Exif\0\0")
    after = with_note({"exif": before}, NOTE)["exif"]
    assert after[8 : len(before)] == before[8:]  # offsets stay valid, those in maker notes too
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + after)
    details = exif.get_ifd(IFD.Exif)
    assert (exif[Base.Make], exif[Base.Software]) == ("Talbot", NOTE.software)
    assert (details[Base.ExposureTime], details[Base.MakerNote]) == (0.25, bytes(range(99)))
    assert details[Base.UserComment] == b"ASCII\0\0\0hi"


def test_a_second_note_replaces_the_first() -> None:
    newer = Provenance("Calotype 10", "Decoded by Calotype 10 from 9 bytes.")
    once = with_note({}, NOTE)
    twice = with_note(once, newer)
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + twice["exif"])
    assert exif[Base.Software] == newer.software
    assert exif.get_ifd(IFD.Exif)[Base.UserComment].endswith(newer.note.encode())
    assert twice["xmp"] == with_note({}, newer)["xmp"]


def test_properties_of_a_packet_are_kept_but_for_the_digital_source_type() -> None:
    xmp = with_note({"xmp": PACKET}, NOTE)["xmp"]
    assert b"digitalCapture" not in xmp
    assert b'tiff:Software="Camera"' in xmp
    root = ElementTree.fromstring(xmp)
    comments = [item.text for item in root.iter(f"{RDF}li")]
    assert comments == [NOTE.note]
    names = [tag.tag for tag in root.iter() if tag.tag.endswith("Software")]
    assert names == []


@pytest.mark.parametrize(
    "exif", [b"", b"junk", b"II*\0\xff\xff\xff\xff", b"MM\0*" + struct.pack(">IH", 8, 9)]
)
@pytest.mark.parametrize("xmp", [b"", b"<x/>", b"</rdf:RDF"])
def test_damaged_metadata_stays_as_it_is(exif: bytes, xmp: bytes) -> None:
    assert with_note({"exif": exif, "xmp": xmp}, NOTE) == {"exif": exif, "xmp": xmp}


def test_data_that_the_note_would_make_too_long_stay_as_they_are() -> None:
    once = with_note({}, NOTE)
    longest = max(len(data) for data in once.values())
    assert with_note({}, NOTE, longest) == once
    smaller = with_note({}, NOTE, longest - 1)
    assert len(smaller) == 1
    long = picture(xmp=PACKET.replace(b"Camera", b"C" * 65_000))
    assert b"C" * 65_000 in pack_picture(long, FORMATS["jpg"])


@pytest.mark.parametrize("part", [b"<!--calotype-->", b"</r:RDF", b"</" + b"r" * 99])
def test_hostile_packets_take_linear_time(part: bytes) -> None:
    packet = part * 20_000
    assert re.search(b"Calotype", with_note({"xmp": packet}, NOTE)["xmp"]) is None
