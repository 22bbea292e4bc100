"""Colour spaces in files made of boxes (ISO/IEC 14496-12: AVIF, HEIF; JPEG 2000).

Pillow's readers give neither the code points of an AVIF file nor the profile of a JP2 file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["ContainerColours", "heif_colours", "jp2_colours"]

_MAX_HEADER = 1 << 24


@dataclass(frozen=True)
class ContainerColours:
    """The content of ``colr`` boxes: ICC profile, code points of ITU-T H.273, enumerated space of JP2."""

    icc: bytes | None = None
    codes: tuple[int, int, int] | None = None
    enumerated: int | None = None


def heif_colours(file: BinaryIO) -> ContainerColours:
    """Reads the colours of an AVIF or HEIF file. Raises ``struct.error`` and ``LookupError`` for damage."""
    meta = _top_level_box(file, b"meta")[4:]
    parts = dict(_boxes_in(meta))
    version = parts[b"pitm"][0]
    (primary,) = struct.unpack_from(">I" if version else ">H", parts[b"pitm"], 4)
    properties = parts[b"iprp"]
    described = list(_boxes_in(dict(_boxes_in(properties))[b"ipco"]))
    used = [
        described[index - 1]
        for name, data in _boxes_in(properties)
        if name == b"ipma"
        for index in _item_properties(data, primary)
        if index
    ]
    return _colours_of_boxes(data for name, data in used if name == b"colr")


def jp2_colours(file: BinaryIO) -> ContainerColours:
    """Reads the first ``colr`` box of a JP2 file. Raises ``struct.error`` and ``LookupError`` for damage."""
    for name, data in _boxes_in(_top_level_box(file, b"jp2h")):
        if name == b"colr":
            method = data[0]
            if method == 1:
                return ContainerColours(enumerated=struct.unpack_from(">I", data, 3)[0])
            return ContainerColours(icc=data[3:]) if method in (2, 3) else ContainerColours()
    return ContainerColours()


def _top_level_box(file: BinaryIO, wanted: bytes) -> bytes:
    """Returns the content of the first box of that name; empty if there is none."""
    file.seek(0)
    while len(start := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", start)
        content = size - 8
        if size == 1:
            content = struct.unpack(">Q", file.read(8))[0] - 16
        if name == wanted:
            return file.read(_MAX_HEADER if size == 0 else min(content, _MAX_HEADER))
        if size == 0 or content < 0:
            break
        file.seek(content, 1)
    return b""


def _boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (name, content) of the boxes in ``data``."""
    position = 0
    while position + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        start, end = position + 8, position + size if size else len(data)
        if size == 1:
            (long,) = struct.unpack_from(">Q", data, start)
            start, end = start + 8, position + long
        if end < start:
            return
        yield name, data[start:end]
        position = end


def _item_properties(data: bytes, item: int) -> list[int]:
    """Returns the numbers, from 1, of the properties that an ``ipma`` box assigns to ``item``."""
    version, wide = data[0], data[3] & 1
    (count,) = struct.unpack_from(">I", data, 4)
    position = 8
    for _ in range(count):
        (property_index,) = struct.unpack_from(">I" if version else ">H", data, position)
        position += 4 if version else 2
        number = data[position]
        position += 1
        size = 2 if wide else 1
        entries = [int.from_bytes(data[position + i * size :][:size], "big") for i in range(number)]
        position += number * size
        if property_index == item:
            return [entry & (0x7FFF if wide else 0x7F) for entry in entries]
    return []


def _colours_of_boxes(boxes: Iterator[bytes]) -> ContainerColours:
    icc, codes = None, None
    for data in boxes:
        if data[:4] == b"nclx":
            codes = codes or struct.unpack_from(">HHH", data, 4)
        elif data[:4] in (b"prof", b"rICC"):
            icc = icc or data[4:]
    return ContainerColours(icc, codes)
