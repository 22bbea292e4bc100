"""Writes messages of Protocol Buffers, and the ones of small ONNX graphs.

The messages and the numbers of their fields are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.container.varint import write_varint

__all__ = ["pack_message", "pack_node", "pack_tensor"]

_DATA_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}
"""The data types of tensors in ONNX, by their names in numpy."""

_BYTES, _INTEGERS = 2, 7
"""The wire type of bytes, and the type of an attribute with integers in ONNX."""


def pack_message(fields: Sequence[tuple[int, bytes | memoryview | int]]) -> bytes:
    """Returns fields (number, value) as a message."""
    parts: list[bytes | memoryview] = []
    for number, value in fields:
        if isinstance(value, int):
            parts += write_varint(number << 3), write_varint(value)
        else:
            parts += write_varint(number << 3 | _BYTES), write_varint(len(value)), value
    return b"".join(parts)


def pack_node(
    operator: str, inputs: Sequence[str], output: str, attributes: Mapping[str, Sequence[int]] | None = None
) -> bytes:
    """Returns the NodeProto of an operation; its ``attributes`` are lists of integers."""
    fields: list[tuple[int, bytes | memoryview | int]] = [(1, name.encode()) for name in inputs]
    fields += [(2, output.encode()), (4, operator.encode())]
    for name, values in (attributes or {}).items():
        content: list[tuple[int, bytes | memoryview | int]] = [
            (1, name.encode()),
            *((8, value) for value in values),
        ]
        fields.append((5, pack_message([*content, (20, _INTEGERS)])))
    return pack_message(fields)


def pack_tensor(name: str, array: NDArray[Any]) -> bytes:
    """Returns the TensorProto of a constant float32, uint8, int8 or int32."""
    fields: list[tuple[int, bytes | memoryview | int]] = [(1, side) for side in array.shape]
    fields += [(2, _DATA_TYPES[array.dtype.name]), (8, name.encode())]
    little_endian = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return pack_message([*fields, (9, little_endian.tobytes())])
