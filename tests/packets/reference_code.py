"""A second implementation of docs/packets.md, without zfec and without anything of the package."""

from __future__ import annotations

import zlib
from collections.abc import Iterable


def _tables() -> tuple[list[int], dict[int, int]]:
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value <<= 1
        if value & 0x100:
            value ^= 0x11D
    return powers, {value: exponent for exponent, value in enumerate(powers)}


POWERS, LOGARITHMS = _tables()
POINTS = [0, *POWERS]


def product(values: Iterable[int]) -> int:
    total = 0
    for value in values:
        if not value:
            return 0
        total += LOGARITHMS[value]
    return POWERS[total % 255]


def inverse(value: int) -> int:
    return POWERS[-LOGARITHMS[value] % 255]


def interpolated(known: dict[int, bytes], row: int) -> bytes:
    """The payload of ``row`` of a block, of which ``known`` are as many as it has data packets."""
    payload = bytearray(len(next(iter(known.values()))))
    for known_row, content in known.items():
        others = [POINTS[other] for other in known if other != known_row]
        above = product(POINTS[row] ^ other for other in others)
        weight = product([above, *(inverse(POINTS[known_row] ^ other) for other in others)])
        for position, byte in enumerate(content):
            payload[position] ^= product((weight, byte))
    return bytes(payload)


def crc_16(data: bytes) -> int:
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ (0x1021 if register & 0x8000 else 0)) & 0xFFFF
    return register


def packet(stream: int, data: int, head: int, index: int, head_repair: int, payload: bytes) -> bytes:
    fields = 1 | stream << 4 | data - 1 << 16 | head_repair << 27 | index << 28 | head << 40
    start = bytes(fields >> 8 * byte & 0xFF for byte in range(6))
    checksum = crc_16(start + payload)
    return start + bytes([checksum & 0xFF, checksum >> 8]) + payload


def message(data: bytes, size: int) -> list[bytes]:
    """The data payloads, of ``size`` bytes, of a file of less than 128 bytes."""
    content = zlib.crc32(data).to_bytes(4, "little") + bytes([len(data)]) + data
    content += bytes(-len(content) % size)
    return [content[begin : begin + size] for begin in range(0, len(content), size)]
