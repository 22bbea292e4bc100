"""The header of a packet: eight bytes, the last two of them a checksum of the whole packet."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass

from calotype.errors import ChecksumError, FormatError, LimitError, TruncatedError, UnsupportedError

__all__ = [
    "HEADER_SIZE",
    "MAX_DATA",
    "MAX_INDEX",
    "MAX_MTU",
    "MAX_STREAM",
    "MIN_MTU",
    "PacketHeader",
    "read_packet",
    "write_packet",
]

VERSION = 1

HEADER_SIZE = 8
"""The size of the header in bytes."""

MIN_MTU, MAX_MTU = 50, 1400
"""The smallest and the largest value of the sender's largest packet size, in bytes."""

MAX_STREAM = (1 << 12) - 1
MAX_DATA = 1 << 11
"""The largest number of data packets of a stream."""

MAX_INDEX = (1 << 12) - 1

_CHECKSUM_SIZE = 2
_FIELDS_SIZE = HEADER_SIZE - _CHECKSUM_SIZE
_CHECKSUM_START = 0xFFFF


@dataclass(frozen=True)
class PacketHeader:
    """The fields of a packet's header.

    ``stream``, 0 to 4,095, tells packets of different files apart. ``data`` is the number of data packets of
    the stream, 1 to 2,048; the first ``head`` of them, 0 to 128, have repair packets of their own. ``index``,
    0 to 4,095, is the number of the packet: below ``data`` that of a data packet, from there on that of a
    repair packet. With ``head_repair`` it is the number of a repair packet of the head instead.
    """

    stream: int
    data: int
    head: int
    index: int
    head_repair: bool = False


def write_packet(header: PacketHeader, payload: bytes) -> bytes:
    """Returns the packet of ``payload``. The fields of ``header`` must be within their ranges."""
    fields = VERSION | header.stream << 4 | header.data - 1 << 16 | header.head_repair << 27
    fields |= header.index << 28 | header.head << 40
    start = fields.to_bytes(_FIELDS_SIZE, "little")
    return start + _packet_checksum(start, payload).to_bytes(_CHECKSUM_SIZE, "little") + payload


def read_packet(packet: bytes) -> tuple[PacketHeader, bytes]:
    """Returns (header, payload) of a packet.

    Raises :class:`UnsupportedError` for a packet of another version, :class:`ChecksumError` for a damaged
    one, :class:`TruncatedError` and :class:`LimitError` for one of an impossible size, and
    :class:`FormatError` for one with an intact header of impossible values.
    """
    if len(packet) <= HEADER_SIZE:
        raise TruncatedError(f"the packet has {len(packet)} bytes, its header alone needs {HEADER_SIZE}")
    if len(packet) > MAX_MTU:
        raise LimitError(f"the packet has {len(packet)} bytes: at most {MAX_MTU} are allowed")
    start, payload = packet[:_FIELDS_SIZE], packet[HEADER_SIZE:]
    fields = int.from_bytes(start, "little")
    if fields & 0xF != VERSION:
        raise UnsupportedError(f"packets of version {fields & 0xF} cannot be read, only those of {VERSION}")
    if int.from_bytes(packet[_FIELDS_SIZE:HEADER_SIZE], "little") != _packet_checksum(start, payload):
        raise ChecksumError("the packet is damaged: its checksum does not match")
    header = PacketHeader(
        stream=fields >> 4 & MAX_STREAM,
        data=(fields >> 16 & MAX_DATA - 1) + 1,
        head=fields >> 40,
        index=fields >> 28 & MAX_INDEX,
        head_repair=bool(fields >> 27 & 1),
    )
    if header.head > header.data:
        raise FormatError(f"the packet's head (={header.head}) has more packets than data (={header.data})")
    return header, payload


def _packet_checksum(start: bytes, payload: bytes) -> int:
    """Returns the CRC-16/IBM-3740 (polynomial 0x1021) of a packet without its checksum."""
    return crc_hqx(payload, crc_hqx(start, _CHECKSUM_START))
