"""A whole file: fixed header, payload, chunks."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from calotype.container.chunks import Chunk, ChunkInfo, ChunkType, data_of, read_chunks, write_chunk
from calotype.container.field import Field
from calotype.container.header import Header, fixed_header, read_header
from calotype.container.varint import MAX_VARINT
from calotype.errors import FormatError, TruncatedError
from calotype.limits import Limits

__all__ = ["EXTENSION", "MEDIA_TYPE", "Parsed", "checksum", "parse", "payload_span", "serialise"]

MEDIA_TYPE = "image/x-calotype"
EXTENSION = ".calo"

_PAYLOAD_LENGTH = Field("payload length", size=0, high=MAX_VARINT)
_CHECKSUM = Field("checksum", size=4, high=2**32 - 1)


@dataclass(frozen=True)
class Parsed:
    """A file taken apart, its payload not yet decoded.

    ``checksum`` is what :func:`checksum` must give for the decoded integers. ``chunks`` are the intact
    ones, in file order; ``found`` lists every chunk, the dropped ones too. ``size`` is that of the whole
    file, in bytes.
    """

    header: Header
    payload: bytes
    checksum: int
    chunks: tuple[Chunk, ...]
    found: tuple[ChunkInfo, ...]
    size: int

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of the ancillary chunks that were dropped, and ``TRAILING`` for bytes that are no chunk."""
        return tuple(info.name for info in self.found if not info.intact)

    def chunk(self, type_: int) -> bytes | None:
        """Data of the intact chunk of that type, or None."""
        return data_of(self.chunks, type_)


def parse(data: bytes, *, limits: Limits, strict: bool = False) -> Parsed:
    """Takes the file ``data`` apart; the payload is not decoded.

    ``strict`` makes errors of what is otherwise dropped and listed: damaged or repeated ancillary chunks
    and trailing bytes. Raises :class:`FormatError` (or a subclass) and, before anything that a file
    claims is allocated, :class:`LimitError`.
    """
    header, position, end = payload_span(data, limits)
    stored, _ = _CHECKSUM.read(data, position - _CHECKSUM.size)
    if end > len(data):
        raise TruncatedError(f"the file ends after {len(data)} bytes, but its payload goes on to byte {end}")
    chunks, found = read_chunks(data, end, limits, strict)
    types = {chunk.type for chunk in chunks}
    for announced, type_ in _announced(header):
        if announced and type_ not in types:
            raise TruncatedError(f"the file ends without the {type_.name} chunk that its header announces")
        if type_ in types and not announced:
            raise FormatError(f"the file holds a chunk {type_.name} that its header does not announce")
    return Parsed(header, data[position:end], stored, chunks, found, len(data))


def payload_span(start: bytes, limits: Limits) -> tuple[Header, int, int]:
    """(header, where the payload begins, where it ends) of the file that begins with ``start``.

    Raises :class:`FormatError`, :class:`LimitError`.
    """
    header, position = read_header(start, limits)
    length, position = _PAYLOAD_LENGTH.read(start, position)
    _, position = _CHECKSUM.read(start, position)
    return header, position, position + length


def serialise(header: Header, payload: bytes, checksum: int, chunks: Sequence[Chunk] = ()) -> bytes:
    """The file that :func:`parse` takes apart again.

    Critical chunks are written first, whatever their order in ``chunks``: damage to an ancillary one
    then never hides them. Raises ``ValueError`` if ``checksum`` is not a uint32, if two chunks have one
    type, or if ``header.alpha`` or ``header.regions`` disagrees with ``chunks``.
    """
    types = [chunk.type for chunk in chunks]
    if len(set(types)) < len(types):
        raise ValueError(f"chunks (of types {types}) must have one chunk of a type at most")
    for announced, type_ in _announced(header):
        if announced != (type_ in types):
            raise ValueError(f"{type_.name.lower()} (={announced}) must say whether chunks has such a chunk")
    parts = [fixed_header(header), _PAYLOAD_LENGTH.write(len(payload)), _CHECKSUM.write(checksum), payload]
    parts += map(write_chunk, sorted(chunks, key=lambda chunk: not chunk.critical))
    return b"".join(parts)


def _announced(header: Header) -> tuple[tuple[bool, ChunkType], ...]:
    """For every critical type of chunk whether the header says that there is one."""
    return (header.alpha, ChunkType.ALPHA), (header.regions, ChunkType.REGIONS)


def checksum(header: Header, integers: bytes) -> int:
    """CRC-32 (uint32) of the fixed header followed by the decoded latents.

    ``integers``: int16[4, h, w], little-endian, in C order.
    """
    return zlib.crc32(integers, zlib.crc32(fixed_header(header)))
