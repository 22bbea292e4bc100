"""Still pictures of AV1 without their reconstructible parts: sequence header, OBU headers and AVIF boxes.

::

    tools │ frame           the content of a PATCHES chunk
      │       │
      └─ sequence header, of the size that is expected ─ boxes ─ an AVIF file that any reader opens

A sequence header is written here and never read from a .calo file, so that no file determines the size of the
picture that its decoder allocates. Sources: AV1 Bitstream & Decoding Process Specification, sections 5.3 to
5.5; AV1 Image File Format 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from calotype.errors import FormatError

__all__ = ["avif_of_frame", "frame_of_avif"]

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _FRAME = 1, 2, 6
_LEVEL = 31
"""The level of a sequence without constraints."""

_TOOLS_BEFORE_COLOUR = 6
"""Bits of the tools byte that the sequence header has before its colours; the next one, for separate delta
quantisers of the two chroma planes, is behind them."""

_TOOLS = 7
_COLOUR = struct.pack(">HHHB", 1, 13, 6, 0x80)
"""Primaries of BT.709, transfer of sRGB, matrix of BT.601, full range."""


def avif_of_frame(data: bytes, width: int, height: int, *, monochrome: bool) -> bytes:
    """Returns the AVIF file of a picture of ``width`` x ``height`` pixels, from the tools byte and its frame.

    Raises :class:`FormatError` for data that are too short, and for a reserved bit.
    """
    if len(data) < 2:
        raise FormatError(f"the AV1 picture of patches ends after {len(data)} bytes")
    tools, frame = data[0], data[1:]
    if tools >> _TOOLS:
        raise FormatError(f"the AV1 picture of patches has the tools {tools}: at most {(1 << _TOOLS) - 1}")
    sequence = _sequence_header(tools, width, height, monochrome)
    item = _obu(_SEQUENCE_HEADER, sequence) + _obu(_FRAME, frame)
    return _avif_file(item, width, height, monochrome)


def frame_of_avif(file: bytes, width: int, height: int, *, monochrome: bool) -> bytes | None:
    """Returns the tools byte and the frame of an AVIF file of one picture of ``width`` x ``height`` pixels.

    None means that :func:`avif_of_frame` does not make the same picture of them. Only the caller's own files
    may be given: damage to their structure is not recognised.
    """
    item = next(data for kind, data in _boxes(file) if kind == b"mdat")
    obus = {kind: data for kind, data in _obus(item) if kind != _TEMPORAL_DELIMITER}
    if set(obus) != {_SEQUENCE_HEADER, _FRAME}:
        return None
    tools = _tools_of(obus[_SEQUENCE_HEADER], width, height, monochrome)
    return None if tools is None else bytes([tools]) + obus[_FRAME]


def _start_of_sequence_header(width: int, height: int) -> str:
    """Returns the bits before the tools, as binary digits: profile 0, a reduced header of one picture."""
    lengths = [max(1, (side - 1).bit_length()) for side in (width, height)]
    sizes = "".join(f"{side - 1:0{length}b}" for side, length in zip((width, height), lengths, strict=True))
    return f"00011{_LEVEL:05b}" + "".join(f"{length - 1:04b}" for length in lengths) + sizes


def _sequence_header(tools: int, width: int, height: int, monochrome: bool) -> bytes:
    """Returns a sequence header with 8 bits a sample, 4:2:0 or 4:0:0, full range and without film grain."""
    used = f"{tools:0{_TOOLS}b}"[::-1]
    # High bit depth, monochrome, colour description, full range; then the position of chroma samples.
    colour = "0101" if monochrome else "000100" + used[_TOOLS_BEFORE_COLOUR]
    digits = _start_of_sequence_header(width, height) + used[:_TOOLS_BEFORE_COLOUR] + colour + "0" + "1"
    digits += "0" * (-len(digits) % 8)
    return int(digits, 2).to_bytes(len(digits) // 8, "big")


def _tools_of(sequence: bytes, width: int, height: int, monochrome: bool) -> int | None:
    """Returns the tools byte of a sequence header, whose level and description of colours may be others."""
    digits = f"{int.from_bytes(sequence, 'big'):0{8 * len(sequence)}b}"
    expected = _start_of_sequence_header(width, height)
    start, end = len(expected), len(expected) + _TOOLS_BEFORE_COLOUR
    if digits[:5] != expected[:5] or digits[10:start] != expected[10:]:
        return None
    description = 24 * int(digits[end + 2])
    colour = digits[end + 3 + description :]
    if (
        digits[end : end + 2] != f"0{int(monochrome)}" or colour[0] == "0"
    ):  # 10 bits, other planes, limited range
        return None
    behind = colour[1:] if monochrome else colour[4:]
    separate = "0" if monochrome else colour[3]
    if behind[0] == "1":  # film grain
        return None
    return int((digits[start:end] + separate)[::-1], 2)


def _obu(kind: int, data: bytes) -> bytes:
    """Returns an open bitstream unit with its size in LEB128."""
    size, digits = len(data), bytearray()
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes([kind << 3 | 2, *digits, size]) + data


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (type, content) of each open bitstream unit."""
    position = 0
    while position < len(data):
        kind, size, shift = data[position] >> 3 & 15, 0, 0
        while True:
            position += 1
            size |= (data[position] & 127) << shift
            shift += 7
            if data[position] < 128:
                break
        yield kind, data[position + 1 : position + 1 + size]
        position += 1 + size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (type, content) of each box of a file."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + size]
        position += size


def _box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def _avif_file(item: bytes, width: int, height: int, monochrome: bool) -> bytes:
    """Returns an AVIF file with the one ``item``, of open bitstream units."""

    def meta(position: int) -> bytes:
        """Returns the ``meta`` box of a file whose item lies at ``position``."""
        planes = 1 if monochrome else 3
        properties = _box(
            b"ipco",
            _box(b"ispe", struct.pack(">III", 0, width, height)),
            _box(b"pixi", bytes([0, 0, 0, 0, planes, *[8] * planes])),
            _box(b"av1C", bytes([0x81, _LEVEL, 0x1C if monochrome else 0x0C, 0])),
            _box(b"colr", b"nclx", _COLOUR),
        )
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), b"\0\1"),
            _box(b"iloc", bytes(4), struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, position, len(item))),
            _box(b"iinf", bytes(4), b"\0\1", _box(b"infe", b"\2\0\0\0\0\1\0\0av01\0")),
            _box(b"iprp", properties, _box(b"ipma", bytes(4), b"\0\0\0\1\0\1\4\1\2\x83\4")),
        )

    start = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    position = len(start) + len(meta(0)) + 8
    return start + meta(position) + _box(b"mdat", item)
