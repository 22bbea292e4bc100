"""Provenance notes: the software and the models that made a decoded picture, in the metadata of its format.

EXIF gets ``Software`` and ``UserComment`` (CIPA DC-008), XMP the same properties and the digital source type
of the IPTC (IPTC Photo Metadata Standard, NewsCodes "Digital Source Type"), by which viewers recognise
pictures that a generative model has changed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from PIL.ExifTags import IFD, Base

from calotype.imaging.tiff import packed_directory, read_entries

__all__ = ["Provenance", "with_note"]

_ASCII, _LONG, _UNDEFINED = 2, 4, 7
_ASCII_CODE = b"ASCII\0\0\0"
"""The character code before the text of ``UserComment``."""

_EXIF_VERSION = b"0232"
_EMPTY_EXIF = b"II*\0" + struct.pack("<IHI", 8, 0, 0)

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SOURCE_TYPES = b"http://cv.iptc.org/newscodes/digitalsourcetype/"
_SOURCE_TYPE = _SOURCE_TYPES + b"compositeWithTrainedAlgorithmicMedia"
_ANY_SOURCE_TYPE = re.compile(re.escape(_SOURCE_TYPES) + rb"\w+")
_NAMESPACES = {
    b"Iptc4xmpExt:DigitalSourceType": _IPTC.encode(),
    b"tiff:Software": b"http://ns.adobe.com/tiff/1.0/",
    b"exif:UserComment": b"http://ns.adobe.com/exif/1.0/",
}
_EMPTY_XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)
_END_OF_RDF = re.compile(rb"</([\w.-]+):RDF\s*>")
_NOTE_START, _NOTE_END = b"<!--calotype-->", b"<!--/calotype-->"


@dataclass(frozen=True)
class Provenance:
    """``software``, a name with its version, and ``note``, sentences for people; both in ASCII."""

    software: str
    note: str

    @classmethod
    def of(cls, info: Mapping[Any, Any]) -> Provenance | None:
        """Returns the note that :meth:`as_info` has put into ``image.info``; None if there is none."""
        return cls(info["software"], info["provenance"]) if "provenance" in info else None

    def as_info(self) -> dict[str, str]:
        """Returns the note under the keys of ``image.info``, ``software`` and ``provenance``."""
        return {"software": self.software, "provenance": self.note}


def with_note(
    metadata: dict[str, bytes], provenance: Provenance, longest: int | None = None
) -> dict[str, bytes]:
    """Returns ``metadata`` (``exif`` without its prefix, ``xmp``) with the note in both of them.

    In EXIF the software is replaced. A comment is kept if it is not an older note. In XMP a property is
    added where the packet does not have it, and the digital source type is replaced. Data that are damaged,
    or that would exceed ``longest`` bytes with the note, are returned as they are.
    """
    noted = {
        "exif": _with_note_in_exif(metadata.get("exif", _EMPTY_EXIF), provenance),
        "xmp": _with_note_in_xmp(metadata.get("xmp", _EMPTY_XMP), provenance),
    }
    fitting = {name: data for name, data in noted.items() if longest is None or len(data) <= longest}
    return metadata | fitting


def _with_note_in_exif(exif: bytes, provenance: Provenance) -> bytes:
    """Appends new directories, so that every offset in ``exif`` stays valid."""
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (start,) = struct.unpack_from(order + "I", exif, 4)
        main, following = read_entries(exif, start, order)
        details = dict[int, bytes]()
        if IFD.Exif in main:
            (details_start,) = struct.unpack_from(order + "I", main[IFD.Exif], 8)
            details, _ = read_entries(exif, details_start, order)
    except (KeyError, struct.error):
        return exif
    data = bytearray(exif)

    def entry(tag: int, kind: int, value: bytes) -> bytes:
        """Returns a raw entry; a value of more than four bytes is appended to ``data``."""
        count = len(value) // 4 if kind == _LONG else len(value)
        if len(value) > 4:
            data.extend(bytes(len(data) % 2))
            place = struct.pack(order + "I", len(data))
            data.extend(value)
            value = place
        return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")

    def directory(entries: dict[int, bytes], following: int) -> bytes:
        """Appends a directory and returns its place."""
        data.extend(bytes(len(data) % 2))
        place = struct.pack(order + "I", len(data))
        data.extend(packed_directory(entries, following, order))
        return place

    if Base.UserComment not in details or _is_note(exif, details[Base.UserComment], order):
        comment = _ASCII_CODE + provenance.note.encode("ascii", "replace")
        details[Base.UserComment] = entry(Base.UserComment, _UNDEFINED, comment)
    if Base.ExifVersion not in details:
        details[Base.ExifVersion] = entry(Base.ExifVersion, _UNDEFINED, _EXIF_VERSION)
    software = provenance.software.encode("ascii", "replace") + b"\0"
    main[Base.Software] = entry(Base.Software, _ASCII, software)
    main[IFD.Exif] = entry(IFD.Exif, _LONG, directory(details, 0))
    data[4:8] = directory(main, following)
    return bytes(data)


def _is_note(exif: bytes, comment: bytes, order: str) -> bool:
    """Returns whether the entry ``comment`` holds a note of an earlier decoding."""
    count, place = struct.unpack_from(order + "II", comment, 4)
    return exif[place : place + count].startswith(_ASCII_CODE + b"Decoded by Calotype ")


def _with_note_in_xmp(packet: bytes, provenance: Provenance) -> bytes:
    """Adds a description at the end of the packet's RDF element."""
    before, _, noted = packet.partition(_NOTE_START)
    packet = _ANY_SOURCE_TYPE.sub(_SOURCE_TYPE, before + noted.partition(_NOTE_END)[2] if noted else packet)
    ends = list(_END_OF_RDF.finditer(packet))
    if not ends:
        return packet
    end, rdf = ends[-1], ends[-1][1]
    note = escape(provenance.note, quote=False).encode()
    values = {
        b"Iptc4xmpExt:DigitalSourceType": _SOURCE_TYPE,
        b"tiff:Software": escape(provenance.software, quote=False).encode(),
        b"exif:UserComment": b'<%b:Alt><%b:li xml:lang="x-default">%b</%b:li></%b:Alt>'
        % (rdf, rdf, note, rdf, rdf),
    }
    added = b"".join(
        b'<%b xmlns:%b="%b">%b</%b>' % (name, name.split(b":")[0], _NAMESPACES[name], value, name)
        for name, value in values.items()
        if name not in packet
    )
    if not added:
        return packet
    description = b'%b<%b:Description %b:about="">%b</%b:Description>%b' % (
        _NOTE_START, rdf, rdf, added, rdf, _NOTE_END,
    )  # fmt: skip
    return packet[: end.start()] + description + packet[end.start() :]
