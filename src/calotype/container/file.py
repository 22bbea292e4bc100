"""A whole file: fixed header, payload, chunks."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from calotype.container.chunks import (
    MAX_FRAME_START,
    MIN_FRAME,
    Chunk,
    ChunkInfo,
    ChunkScan,
    ChunkType,
    check_chunk_size,
    chunk_data,
    read_chunk_type_and_sizes,
    read_chunks,
    scan_chunks,
    write_chunk,
)
from calotype.container.field import Field
from calotype.container.header import Header, fixed_header, read_header
from calotype.container.varint import MAX_VARINT
from calotype.errors import FormatError, TruncatedError
from calotype.limits import Limits

__all__ = [
    "EXTENSION",
    "MAX_PAYLOAD_SIZE",
    "MAX_START",
    "MEDIA_TYPE",
    "FileLayout",
    "ParsedFile",
    "file_checksum",
    "file_size",
    "parse_file",
    "read_layout",
    "serialise_file",
]

MEDIA_TYPE = "image/x-calotype"
EXTENSION = ".calo"

MAX_START = 64
"""The first so many bytes of a file hold its header, the fields before the payload and the start of a chunk.
"""

MAX_PAYLOAD_SIZE = MAX_VARINT
"""The largest payload in bytes that a file can announce."""

_PAYLOAD_LENGTH = Field("payload length", size=0, high=MAX_PAYLOAD_SIZE)
_CHECKSUM = Field("checksum", size=4, high=2**32 - 1)


@dataclass(frozen=True)
class FileLayout:
    """The parts of a file before its payload, and the position of the payload: bytes ``start`` to ``end``.

    ``checksum`` is that of :func:`file_checksum` for the decoded integers. The bytes from ``chunks`` to
    ``start`` are the REGIONS chunk if the header announces it there, otherwise there are none.
    """

    header: Header
    checksum: int
    chunks: int
    start: int
    end: int


@dataclass(frozen=True)
class ParsedFile:
    """A file taken apart, its payload not yet decoded.

    ``checksum`` is that of :func:`file_checksum` for the decoded integers. ``chunks`` are the intact chunks,
    in file order; ``found`` lists every chunk, also those that were dropped. ``size`` is the size of the
    whole file, and ``payload_start`` the position of its payload, in bytes. For a file that ends too early,
    ``size`` counts the bytes that are there, ``missing`` is the least number of bytes that are not, and
    ``payload`` may be shorter than ``payload_size``.
    """

    header: Header
    payload: bytes
    payload_start: int
    payload_size: int
    checksum: int
    chunks: tuple[Chunk, ...]
    found: tuple[ChunkInfo, ...]
    size: int
    missing: int = 0

    @property
    def damaged(self) -> tuple[str, ...]:
        """Returns the names of the dropped ancillary chunks, and ``TRAILING`` for bytes that are no chunk."""
        return tuple(info.name for info in self.found if not info.intact)

    @property
    def fraction(self) -> float:
        """Returns the fraction of the file that is there: 1 for a complete file, otherwise less."""
        return self.size / (self.size + self.missing)

    def chunk(self, type_: int) -> bytes | None:
        """Returns the data of the intact chunk of that type, or None."""
        return chunk_data(self.chunks, type_)


def parse_file(data: bytes, *, limits: Limits, strict: bool = False, partial: bool = False) -> ParsedFile:
    """Parses the file ``data``, but does not decode its payload.

    Damaged or repeated ancillary chunks and trailing bytes are dropped and listed; ``strict`` makes errors of
    them. With ``partial`` the file may end anywhere after the start of its payload. Raises
    :class:`FormatError` (or a subclass), and :class:`LimitError` before it allocates memory by the sizes in
    the file.
    """
    layout = read_layout(data, limits)
    header, position, end = layout.header, layout.start, layout.end
    if position > len(data):
        raise TruncatedError(f"the file ends after {len(data)} bytes, inside its REGIONS chunk")
    first, first_found = read_chunks(data[:position], layout.chunks, limits, strict)
    if end > len(data):
        ends = f"the file ends after {len(data)} bytes, but its payload ends at byte {end}"
        scan = ChunkScan((), (), TruncatedError(ends), end - len(data))
    else:
        scan = scan_chunks(data, end, limits, strict, before=first)
    chunks, truncated, missing = first + scan.chunks, scan.truncated, scan.missing
    types = {chunk.type for chunk in chunks}
    for announced, type_ in _announced_size(header):
        if announced and type_ not in types and truncated is None:
            truncated = TruncatedError(
                f"the file ends without the {type_.name} chunk that its header announces"
            )
            missing = MIN_FRAME
        if type_ in types and not announced:
            raise FormatError(f"the file holds a chunk {type_.name} that its header does not announce")
    if truncated is not None and not partial:
        raise truncated
    return ParsedFile(
        header=header,
        payload=data[position:end],
        payload_start=position,
        payload_size=end - position,
        checksum=layout.checksum,
        chunks=chunks,
        found=first_found + scan.found,
        size=len(data),
        missing=missing,
    )


def read_layout(start: bytes, limits: Limits) -> FileLayout:
    """Returns the layout of the file that begins with the bytes ``start``.

    The first ``MAX_START`` bytes of a file are enough. Raises :class:`FormatError`, :class:`LimitError`.
    """
    header, position = read_header(start, limits)
    length, position = _PAYLOAD_LENGTH.read(start, position)
    stored, position = _CHECKSUM.read(start, position)
    chunks = position
    if header.regions_first:
        type_, data_size, size = read_chunk_type_and_sizes(start[position : position + MAX_FRAME_START])
        if type_ != ChunkType.REGIONS:
            raise FormatError(f"a chunk of type {type_} is before the payload, where REGIONS belongs")
        check_chunk_size(type_, data_size, limits)
        position += size
    return FileLayout(header, stored, chunks, position, position + length)


def serialise_file(header: Header, payload: bytes, checksum: int, chunks: Sequence[Chunk] = ()) -> bytes:
    """Returns the file from which :func:`parse_file` reads these parts.

    Critical chunks are written first, whatever their order in ``chunks``: damage to an ancillary one
    then never hides them. REGIONS stands before the payload if the header says so. Raises ``ValueError`` if
    ``checksum`` is not a uint32, if two chunks have one type, or if ``header.alpha`` or ``header.regions``
    disagrees with ``chunks``.
    """
    types = [chunk.type for chunk in chunks]
    if len(set(types)) < len(types):
        raise ValueError(f"chunks (of types {types}) must have one chunk of a type at most")
    for announced, type_ in _announced_size(header):
        if announced != (type_ in types):
            raise ValueError(f"{type_.name.lower()} (={announced}) must say whether chunks has such a chunk")
    first = [chunk for chunk in chunks if chunk.type == ChunkType.REGIONS and header.regions_first]
    behind = sorted((chunk for chunk in chunks if chunk not in first), key=lambda chunk: not chunk.critical)
    parts = [fixed_header(header), _PAYLOAD_LENGTH.write(len(payload)), _CHECKSUM.write(checksum)]
    return b"".join([*parts, *map(write_chunk, first), payload, *map(write_chunk, behind)])


def file_size(header: Header, payload_size: int, chunks: Sequence[Chunk] = ()) -> int:
    """Returns the size in bytes of the file with a payload of ``payload_size`` bytes, without making it.

    ``payload_size``: 0 to ``MAX_PAYLOAD_SIZE``. It raises ``ValueError`` like :func:`serialise_file`.
    """
    rest = len(serialise_file(header, b"", 0, chunks)) - len(_PAYLOAD_LENGTH.write(0))
    return rest + len(_PAYLOAD_LENGTH.write(payload_size)) + payload_size


def _announced_size(header: Header) -> tuple[tuple[bool, ChunkType], ...]:
    """Returns for every critical chunk type whether the header announces the chunk."""
    return (header.alpha, ChunkType.ALPHA), (header.regions, ChunkType.REGIONS)


def file_checksum(header: Header, integers: bytes) -> int:
    """Returns the CRC-32 (uint32) of the fixed header followed by the decoded integers.

    ``integers``: int16[4, h, w], little-endian, in C order.
    """
    return zlib.crc32(integers, zlib.crc32(fixed_header(header)))
