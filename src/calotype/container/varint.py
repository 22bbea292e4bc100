"""Unsigned integers of variable length: seven bits in each byte, the least significant first (LEB128)."""

from __future__ import annotations

from calotype.errors import FormatError, TruncatedError

__all__ = ["MAX_VARINT", "read_varint", "write_varint"]

MAX_VARINT = 2**32 - 1
"""The largest value that may be written; it takes five bytes."""


def write_varint(value: int) -> bytes:
    """Returns the shortest encoding, 1 to 5 bytes, of ``value`` (0 to ``MAX_VARINT``). Raises
    ``ValueError``."""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"value (={value}) must be between 0 and {MAX_VARINT}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, position: int, what: str = "number") -> tuple[int, int]:
    """Returns (value, position behind it) of the varint at ``position``; ``what`` names it in error messages.

    Every value has one encoding only. Raises :class:`TruncatedError` if ``data`` ends too early and
    :class:`FormatError` if the encoding is not the shortest or the value exceeds ``MAX_VARINT``.
    """
    value = 0
    for index in range(5):
        if position + index >= len(data):
            raise TruncatedError(f"the file ends after {len(data)} bytes, inside its {what}")
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise FormatError(f"the {what} at byte {position} is not in its shortest form")
            if value > MAX_VARINT:
                break
            return value, position + index + 1
    raise FormatError(f"the {what} at byte {position} is larger than {MAX_VARINT}")
