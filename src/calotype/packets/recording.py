"""Recordings: packets in one file or pipe, each after its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from calotype.errors import FormatError, TruncatedError
from calotype.packets.header import MAX_MTU

__all__ = ["read_recording", "write_recording"]

_LENGTH_SIZE = 2


def write_recording(packets: Iterable[bytes]) -> bytes:
    """Returns the packets one after the other, each after its length (two bytes, little-endian)."""
    return b"".join(len(packet).to_bytes(_LENGTH_SIZE, "little") + packet for packet in packets)


def read_recording(file: BinaryIO) -> Iterator[bytes]:
    """Yields the packets of a recording, one at a time.

    Raises :class:`FormatError` where a length is impossible and :class:`TruncatedError` where the recording
    ends within a packet, after the packets before.
    """
    while start := _read_up_to(file, _LENGTH_SIZE):
        size = int.from_bytes(start, "little")
        if len(start) < _LENGTH_SIZE or not 0 < size <= MAX_MTU:
            raise FormatError(f"no recording of packets: a length is {size}, not 1 to {MAX_MTU} bytes")
        packet = _read_up_to(file, size)
        if len(packet) < size:
            raise TruncatedError(f"the recording ends within a packet, after {len(packet)} of {size} bytes")
        yield packet


def _read_up_to(file: BinaryIO, size: int) -> bytes:
    """Returns ``size`` bytes of a file or pipe, fewer at its end."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data
