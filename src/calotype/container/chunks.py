"""Chunks: optional parts behind the payload, each with its own CRC-32 (docs/format.md, section 3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from calotype.container.field import Field
from calotype.container.varint import MAX_VARINT
from calotype.errors import ChecksumError, FormatError, LimitError, TruncatedError, UnsupportedError
from calotype.limits import Limits

__all__ = [
    "CRITICAL",
    "MAX_FRAME_START",
    "METADATA_CHUNKS",
    "MIN_FRAME",
    "TRAILING",
    "Chunk",
    "ChunkInfo",
    "ChunkScan",
    "ChunkType",
    "check_chunk_size",
    "chunk_data",
    "read_chunk_type_and_sizes",
    "read_chunks",
    "scan_chunks",
    "write_chunk",
]

_TYPE = Field("chunk type")
_LENGTH = Field("chunk length", size=0, high=MAX_VARINT)
_CRC = Field("chunk CRC", size=4, high=2**32 - 1)

CRITICAL = 0x80
"""The bit of the type byte of a chunk without which the picture would be wrong."""

MAX_FRAME_START = 6
"""The largest number of bytes that the type and the length of a chunk take."""

MIN_FRAME = 6
"""The number of bytes of a chunk without data."""

TRAILING = "TRAILING"
"""The name under which bytes that are no chunk are listed."""


class ChunkType(IntEnum):
    """The type bytes that have a name: an id of seven bits, and ``CRITICAL``."""

    ICC = 1
    EXIF = 2
    XMP = 3
    ALPHA = 4 | CRITICAL
    REGIONS = 5 | CRITICAL
    PATCHES = 6
    FIDELITY = 7


_KNOWN = frozenset(ChunkType)
_READABLE_CRITICAL = {ChunkType.ALPHA, ChunkType.REGIONS}
METADATA_CHUNKS = (ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP)
"""The metadata chunks, which together must not exceed ``Limits.max_metadata_bytes``."""


def _chunk_name(type_: int) -> str:
    return ChunkType(type_).name if type_ in _KNOWN else f"0x{type_:02X}"


@dataclass(frozen=True)
class Chunk:
    """One chunk; ``type`` is a :class:`ChunkType` or another byte whose lower seven bits are not zero.

    Raises ``ValueError`` for any other ``type``, and for a critical one that this release cannot read.
    """

    type: int
    data: bytes

    def __post_init__(self) -> None:
        if not 0 < self.type <= 255 or self.type == CRITICAL:
            raise ValueError(f"type (={self.type}) must be a byte whose lower seven bits are not zero")
        if self.critical and self.type not in _READABLE_CRITICAL:
            raise ValueError(f"type (={self.type}): no reader supports critical chunks of type {self.name}")

    @property
    def name(self) -> str:
        """The type's name, or its value such as ``0x2A`` if it has no name."""
        return _chunk_name(self.type)

    @property
    def critical(self) -> bool:
        """Returns whether a decoder must support the type."""
        return bool(self.type & CRITICAL)


@dataclass(frozen=True)
class ChunkInfo:
    """A chunk in a file; ``size`` is that of its data in bytes, or of all bytes for ``TRAILING``."""

    name: str
    size: int
    critical: bool
    intact: bool


def write_chunk(chunk: Chunk) -> bytes:
    """Serialises a chunk: type u8, length varint, data, CRC-32 u32 of all three."""
    body = _TYPE.write(chunk.type) + _LENGTH.write(len(chunk.data)) + chunk.data
    return body + _CRC.write(zlib.crc32(body))


def chunk_data(chunks: Sequence[Chunk], type_: int) -> bytes | None:
    """Returns the data of the chunk of that type, or None."""
    return next((chunk.data for chunk in chunks if chunk.type == type_), None)


@dataclass(frozen=True)
class ChunkScan:
    """The chunks of a file that may still be arriving.

    ``chunks`` are the intact chunks; ``found`` lists every chunk. If the file ends within a chunk,
    ``truncated`` is the error for it, and ``missing`` is the least number of bytes that the chunk lacks.
    """

    chunks: tuple[Chunk, ...]
    found: tuple[ChunkInfo, ...]
    truncated: TruncatedError | None = None
    missing: int = 0


def read_chunks(
    data: bytes, position: int, limits: Limits, strict: bool
) -> tuple[tuple[Chunk, ...], tuple[ChunkInfo, ...]]:
    """Returns (the intact chunks, a list of every chunk) of a complete file, by :func:`scan_chunks`.

    Raises :class:`TruncatedError` as well.
    """
    scan = scan_chunks(data, position, limits, strict)
    if scan.truncated is not None:
        raise scan.truncated
    return scan.chunks, scan.found


def scan_chunks(
    data: bytes, position: int, limits: Limits, strict: bool, before: Sequence[Chunk] = ()
) -> ChunkScan:
    """Returns the chunks from ``position`` to the end of the file ``data``; those ``before`` count as well.

    Ancillary chunks that are damaged or repeated are dropped, as are bytes that cannot be a chunk;
    ``strict`` makes them errors. Raises :class:`ChecksumError`, :class:`UnsupportedError`,
    :class:`FormatError` and, before anything is copied, :class:`LimitError`.
    """
    chunks: list[Chunk] = []
    infos: list[ChunkInfo] = []
    metadata = 0
    while position < len(data):
        try:
            frame = _chunk_frame(data, position, strict)
        except TruncatedError as error:
            return ChunkScan(tuple(chunks), tuple(infos), error, _rest_of_chunk(data, position))
        if frame is None:
            infos.append(ChunkInfo(TRAILING, len(data) - position, critical=False, intact=False))
            break
        type_, start, end = frame
        name, critical, size = _chunk_name(type_), bool(type_ & CRITICAL), end - start
        metadata += size if type_ in METADATA_CHUNKS else 0
        if len(before) + len(infos) == limits.max_chunks:
            raise LimitError(f"the file holds more than {limits.max_chunks} chunks, the number allowed")
        check_chunk_size(type_, size, limits)
        if metadata > limits.max_metadata_bytes:
            raise LimitError(
                f"ICC, EXIF and XMP hold {metadata} bytes or more:"
                f" at most {limits.max_metadata_bytes} are allowed"
            )
        problem = _chunk_problem(data, position, end, type_, {chunk.type for chunk in (*before, *chunks)})
        if problem is None:
            chunks.append(Chunk(type_, data[start:end]))
        elif critical or strict:
            raise problem
        infos.append(ChunkInfo(name, size, critical, intact=problem is None))
        position = end + _CRC.size
    return ChunkScan(tuple(chunks), tuple(infos))


def check_chunk_size(type_: int, size: int, limits: Limits) -> None:
    """Raises :class:`LimitError` if a chunk of ``size`` bytes of data is too large."""
    if size > limits.max_chunk_bytes:
        raise LimitError(
            f"chunk {_chunk_name(type_)} holds {size} bytes: at most {limits.max_chunk_bytes} are allowed"
        )


def read_chunk_type_and_sizes(start: bytes) -> tuple[int, int, int]:
    """Returns (type, size of the data, size of the whole chunk) of the chunk that begins with ``start``.

    The sizes are in bytes. Raises :class:`FormatError` if no chunk begins in this way.
    """
    type_, position = _TYPE.read(start, 0)
    if type_ == 0:
        raise FormatError("no chunk has the type 0")
    length, position = _LENGTH.read(start, position)
    return type_, length, position + length + _CRC.size


def _rest_of_chunk(data: bytes, position: int) -> int:
    """Returns at least how many bytes are missing of the chunk at ``position``, in which the file ends."""
    try:
        _, _, size = read_chunk_type_and_sizes(data[position : position + MAX_FRAME_START])
    except TruncatedError:
        return 1 + _CRC.size
    return position + size - len(data)


def _chunk_frame(data: bytes, position: int, strict: bool) -> tuple[int, int, int] | None:
    """Returns (type, start and end of the data) of the chunk at ``position``; None: no chunk starts here.

    An unfinished chunk means a truncated file if its type has a name or is critical. Otherwise it may as well
    be padding, or a line end that a tool has added, for which the picture is not refused.
    """
    type_, start = _TYPE.read(data, position)
    try:
        if type_ == 0:
            raise FormatError(f"the {len(data) - position} bytes from byte {position} on are not a chunk")
        length, start = _LENGTH.read(data, start)
        if start + length + _CRC.size > len(data):
            raise TruncatedError(f"the file ends after {len(data)} bytes, inside chunk {_chunk_name(type_)}")
    except FormatError as error:
        truncated = isinstance(error, TruncatedError) and type_ in _KNOWN
        if strict or truncated or type_ & CRITICAL:
            raise
        return None
    return type_, start, start + length


def _chunk_problem(
    data: bytes, position: int, end: int, type_: int, types_seen: set[int]
) -> FormatError | None:
    """Returns why the chunk at ``position``, whose data end at ``end``, cannot be used; None: it can."""
    crc, _ = _CRC.read(data, end)
    if zlib.crc32(memoryview(data)[position:end]) != crc:
        return ChecksumError(
            f"chunk {_chunk_name(type_)} at byte {position} is damaged: its CRC does not match"
        )
    if type_ & CRITICAL and type_ not in _READABLE_CRITICAL:
        return UnsupportedError(
            f"this release cannot read critical chunk {_chunk_name(type_)}: use a newer one"
        )
    if type_ in types_seen:
        return FormatError(f"chunk {_chunk_name(type_)} at byte {position} is the second of its type")
    return None
