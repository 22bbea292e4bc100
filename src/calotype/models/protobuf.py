"""Writes messages of Protocol Buffers, and the ones of small ONNX graphs.

The messages and the numbers of their fields are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.container.varint import write_varint
from calotype.models.onnx_file import Node

__all__ = ["Fields", "pack_message", "pack_node", "pack_tensor", "pack_value_info"]

_DATA_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
"""The data types of tensors in ONNX, by their names in numpy."""

_BYTES = 2
"""The wire type of bytes."""

_INTEGER, _TEXT, _INTEGERS = 2, 3, 7
"""The types of attributes in ONNX."""

Fields = list[tuple[int, bytes | memoryview | int]]
"""The numbers and values of the fields of a message."""


def pack_message(fields: Sequence[tuple[int, bytes | memoryview | int]]) -> bytes:
    """Returns fields (number, value) as a message."""
    parts: list[bytes | memoryview] = []
    for number, value in fields:
        if isinstance(value, int):
            parts += write_varint(number << 3), write_varint(value)
        else:
            parts += write_varint(number << 3 | _BYTES), write_varint(len(value)), value
    return b"".join(parts)


def pack_node(node: Node) -> bytes:
    """Returns the NodeProto of an operation, whose attributes are integers, texts or tuples of integers."""
    fields: Fields = [(1, name.encode()) for name in node.inputs]
    fields += [(2, name.encode()) for name in node.outputs]
    fields.append((4, node.operator.encode()))
    fields += [(5, _pack_attribute(name, value)) for name, value in node.attributes.items()]
    return pack_message(fields)


def _pack_attribute(name: str, value: int | str | tuple[int, ...]) -> bytes:
    content: Fields
    if isinstance(value, int):
        content = [(3, value), (20, _INTEGER)]
    elif isinstance(value, str):
        content = [(4, value.encode()), (20, _TEXT)]
    else:
        content = [*((8, number) for number in value), (20, _INTEGERS)]
    return pack_message([(1, name.encode()), *content])


def pack_tensor(name: str, array: NDArray[Any]) -> bytes:
    """Returns the TensorProto of a constant float32, uint8, int8, int32 or int64."""
    fields: Fields = [(1, side) for side in array.shape]
    fields += [(2, _DATA_TYPES[array.dtype.name]), (8, name.encode())]
    little_endian = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return pack_message([*fields, (9, little_endian.tobytes())])


def pack_value_info(name: str, dtype: str, dimensions: int) -> bytes:
    """Returns the ValueInfoProto of an input or output of any shape with this number of dimensions."""
    shape = pack_message([(1, b"")] * dimensions)
    tensor = pack_message([(1, _DATA_TYPES[dtype]), (2, shape)])
    return pack_message([(1, name.encode()), (2, pack_message([(1, tensor)]))])
