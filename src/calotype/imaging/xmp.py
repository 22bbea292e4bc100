"""XMP of a JPEG file whose packet does not fit a segment (Adobe, XMP Specification Part 3, section 1.1.3)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from xml.parsers.expat import ExpatError, ParserCreate

__all__ = ["EXTENSION_PREFIX", "XmpError", "has_extended_xmp", "join_extended_xmp"]

EXTENSION_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
"""The bytes before the digest in an APP1 segment with a part of extended XMP."""

_NAME = b":HasExtendedXMP"
_MAX_PREFIX = 64
_MAX_REFERENCE = 512
_GUID = rb"[0-9A-Fa-f]{32}"
# An attribute or an element. It is matched against a short piece only, for hostile packets take too long.
_REFERENCE = re.compile(
    rb"\s*[\w.-]+%b\s*=\s*[\"'](?P<a>%b)[\"']"
    rb"|<(?P<tag>[\w.-]+%b)\b[^>]*>\s*(?P<b>%b)\s*</(?P=tag)\s*>" % (_NAME, _GUID, _NAME, _GUID)
)
_RDF = re.compile(rb"<([\w.-]+:)RDF\b")
_NAMESPACE = re.compile(rb"\s(xmlns:[\w.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


class XmpError(Exception):
    """Extended XMP cannot be joined; the message says why."""


def has_extended_xmp(packet: bytes) -> bool:
    """Returns whether a packet continues in other segments."""
    return _extended_xmp_reference(packet) is not None


def join_extended_xmp(packet: bytes, segments: Iterable[bytes]) -> bytes:
    """Returns one packet with all properties of ``packet`` and of its extended XMP.

    ``segments`` are the data of the file's APP1 segments that start with ``EXTENSION_PREFIX``. Raises
    :class:`XmpError`.
    """
    reference = _extended_xmp_reference(packet)
    if reference is None:
        return packet
    guid, start, end = reference
    extension = _assemble_extension(guid, segments)
    head, properties, tail = _split_packet(packet[:start] + packet[end:])
    more_head, more_properties, _ = _split_packet(extension)
    known, needed = _namespaces(head), _namespaces(more_head)
    if any(known.get(name, uri) != uri for name, uri in needed.items()):
        raise XmpError("it uses other namespaces than the packet")
    added = b"".join(b' %b="%b"' % item for item in needed.items() if item[0] not in known)
    packet_text = head + added + b">" + properties + more_properties + tail
    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(packet_text, True)
    except ExpatError as error:
        raise XmpError(f"it is not well-formed XML: {error}") from error
    return packet_text


def _refuse_doctype(*_: object) -> None:
    raise XmpError("it has a document type, and might define entities")


def _extended_xmp_reference(packet: bytes) -> tuple[bytes, int, int] | None:
    """Returns (the digest of the extended XMP, start and end of the reference to it)."""
    place = packet.find(_NAME)
    if place < 0:
        return None
    start = max(0, place - _MAX_PREFIX)
    match = _REFERENCE.search(packet[start : place + _MAX_REFERENCE])
    if match is None:
        return None
    return match["a"] or match["b"], start + match.start(), start + match.end()


def _split_packet(packet: bytes) -> tuple[bytes, bytes, bytes]:
    """Splits a packet: the part up to its RDF tag without the ``>``, the element's content, the rest."""
    opening = _RDF.search(packet)
    if opening is not None:
        start, end = packet.find(b">", opening.end()), packet.rfind(b"</" + opening[1] + b"RDF")
        if 0 <= start < end:
            return packet[:start], packet[start + 1 : end], packet[end:]
    raise XmpError("it holds no RDF")


def _assemble_extension(guid: bytes, segments: Iterable[bytes]) -> bytes:
    parts: dict[int, bytes] = {}
    length = 0
    for segment in segments:
        start = len(EXTENSION_PREFIX)
        if segment[start : start + 32] == guid and len(segment) >= start + 40:
            length, offset = struct.unpack_from(">II", segment, start + 32)
            parts[offset] = segment[start + 40 :]
    extended = b""
    for offset in sorted(parts):
        if offset != len(extended):
            break
        extended += parts[offset]
    if not parts or len(extended) != length:
        raise XmpError("parts of it are missing")
    return extended


def _namespaces(text: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _NAMESPACE.findall(text)}
