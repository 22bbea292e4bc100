"""The message that packets carry: checksum, length and bytes of the file, then zeros up to a whole packet."""

from __future__ import annotations

import zlib

from calotype.container.varint import read_varint, write_varint
from calotype.errors import ChecksumError, FormatError, TruncatedError

__all__ = ["MAX_PREAMBLE", "Preamble", "file_of", "message_of"]

_CHECKSUM_SIZE = 4
MAX_PREAMBLE = _CHECKSUM_SIZE + 5
"""The largest number of bytes before the file."""


class Preamble:
    """The fields before the file: its CRC-32 ``checksum``, and its length ``size`` in bytes.

    ``start`` is the position of the file in the message.
    """

    def __init__(self, message: bytes) -> None:
        """Raises :class:`TruncatedError` and :class:`FormatError`."""
        if len(message) < _CHECKSUM_SIZE:
            raise TruncatedError(f"{len(message)} bytes of the message are there, too few for its checksum")
        self.checksum = int.from_bytes(message[:_CHECKSUM_SIZE], "little")
        self.size, self.start = read_varint(message, _CHECKSUM_SIZE, "length")


def message_of(data: bytes) -> bytes:
    """Returns the message of a file, without the zeros at its end."""
    return zlib.crc32(data).to_bytes(_CHECKSUM_SIZE, "little") + write_varint(len(data)) + data


def file_of(message: bytes) -> bytes:
    """Returns the file of a whole message. Raises :class:`FormatError` and :class:`ChecksumError`."""
    preamble = Preamble(message)
    end = preamble.start + preamble.size
    if end > len(message):
        raise FormatError(f"the packets hold {len(message)} bytes, too few for a file of {preamble.size}")
    data = message[preamble.start : end]
    if zlib.crc32(data) != preamble.checksum:
        raise ChecksumError("the packets do not give the file that was sent: its checksum does not match")
    return data
