"""Writes messages of Protocol Buffers, of the kinds that small ONNX graphs need."""

from __future__ import annotations

from collections.abc import Sequence

from calotype.container.varint import write_varint

__all__ = ["pack_message"]


def pack_message(fields: Sequence[tuple[int, bytes | int]]) -> bytes:
    """Returns fields (number, value) as a message; numbers are below 16."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += bytes([number << 3]) + write_varint(value)
        else:
            out += bytes([number << 3 | 2]) + write_varint(len(value)) + value
    return bytes(out)
