"""XMP of a JPEG file whose packet does not fit a segment (Adobe, XMP Specification Part 3, section 1.1.3)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from xml.parsers.expat import ExpatError, ParserCreate

__all__ = ["EXTENSION_PREFIX", "XmpError", "has_extension", "joined"]

EXTENSION_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
"""What stands before the digest in an APP1 segment with a part of extended XMP."""

_GUID = rb"[0-9A-Fa-f]{32}"
_REFERENCE = re.compile(
    rb"\s*[\w.-]+:HasExtendedXMP\s*=\s*[\"'](?P<a>%b)[\"']"
    rb"|<(?P<tag>[\w.-]+:HasExtendedXMP)\b[^>]*>\s*(?P<b>%b)\s*</(?P=tag)\s*>" % (_GUID, _GUID)
)
_RDF = re.compile(
    rb"(?P<start>.*?<(?P<tag>[\w.-]+:)RDF\b[^>]*)>(?P<inner>.*)(?P<end></(?P=tag)RDF\s*>)", re.S
)
_NAMESPACE = re.compile(rb"\s(xmlns:[\w.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


class XmpError(Exception):
    """Extended XMP cannot be joined; the message says why."""


def has_extension(packet: bytes) -> bool:
    """Whether a packet says that it goes on in other segments."""
    return _REFERENCE.search(packet) is not None


def joined(packet: bytes, segments: Iterable[bytes]) -> bytes:
    """One packet with all properties of ``packet`` and of the extended XMP that it names.

    ``segments``: the data of the file's APP1 segments that start with ``EXTENSION_PREFIX``.
    Raises :class:`XmpError`.
    """
    reference = _REFERENCE.search(packet)
    if reference is None:
        return packet
    extension = _assembled(reference["a"] or reference["b"], segments)
    main, more = _RDF.match(_REFERENCE.sub(b"", packet)), _RDF.match(extension)
    if main is None or more is None:
        raise XmpError("it holds no RDF")
    known, needed = _namespaces(main["start"]), _namespaces(more["start"])
    if any(known.get(name, uri) != uri for name, uri in needed.items()):
        raise XmpError("it uses other namespaces than the packet")
    added = b"".join(b' %b="%b"' % item for item in needed.items() if item[0] not in known)
    text = main.string
    whole = main["start"] + added + b">" + main["inner"] + more["inner"] + text[main.start("end") :]
    try:
        ParserCreate().Parse(whole, True)
    except ExpatError as error:
        raise XmpError(f"it is no XML: {error}") from error
    return whole


def _assembled(guid: bytes, segments: Iterable[bytes]) -> bytes:
    parts: dict[int, bytes] = {}
    length = 0
    for segment in segments:
        start = len(EXTENSION_PREFIX)
        if segment[start : start + 32] == guid and len(segment) >= start + 40:
            length, offset = struct.unpack_from(">II", segment, start + 32)
            parts[offset] = segment[start + 40 :]
    whole = b""
    for offset in sorted(parts):
        if offset != len(whole):
            break
        whole += parts[offset]
    if not parts or len(whole) != length:
        raise XmpError("parts of it are missing")
    return whole


def _namespaces(text: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _NAMESPACE.findall(text)}
