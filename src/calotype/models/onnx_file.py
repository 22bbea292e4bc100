"""Reads ONNX graphs with the standard library and numpy: nodes, attributes and tensors.

Fields have the numbers of ``onnx.proto``. What is not needed to run a graph is skipped. A graph whose tensors
are in other files is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = ["Graph", "Node", "needed_nodes", "read_fields", "read_graph"]

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # the wire types of Protocol Buffers

_IN_THIS_FILE = 0
"""The value of ``TensorProto.data_location`` for data in the graph's own file, which some exporters write."""

_TYPES: dict[int, str] = {
    1: "<f4",
    2: "|u1",
    3: "|i1",
    6: "<i4",
    7: "<i8",
    9: "|b1",
    10: "<f2",
    11: "<f8",
}
"""Data types of tensors, as numpy names them."""

_DATA_FIELDS = {1: 4, 2: 5, 3: 5, 6: 5, 7: 7, 9: 5, 11: 10}
"""For each data type the field that holds values where there are no raw bytes."""

_MAX_VALUES = 1 << 28
"""The largest number of values of one tensor."""

_Value = int | memoryview
"""A number, or a view of the bytes of all other fields: weights are not copied."""

_EMPTY = memoryview(b"")

_Fields = dict[int, list[_Value]]


@dataclass(frozen=True)
class Node:
    """One operation: the names of its inputs ("" for one left out) and outputs, and its attributes.

    Attributes are int, float, str, a tuple of numbers, or an array.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph: its nodes in the order of computation, its constants, and the names of inputs and outputs."""

    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(data: bytes) -> Graph:
    """Returns the graph of an ONNX file. Raises :class:`ModelError` if it is none."""
    try:
        graph = _message(_only(_message(memoryview(data)), 7))
        nodes = tuple(_node(_message(node)) for node in graph.get(1, []))
        constants = dict(_tensor(_message(tensor)) for tensor in graph.get(5, []))
        inputs, outputs = (
            tuple(_text(_only(_message(value), 1)) for value in graph.get(field, [])) for field in (11, 12)
        )
        return Graph(nodes, constants, tuple(name for name in inputs if name not in constants), outputs)
    except (ValueError, KeyError, IndexError, struct.error, TypeError) as error:
        raise ModelError(f"not an ONNX graph: {error}") from error


def needed_nodes(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """Returns those of ``nodes`` on which ``outputs`` depend, in order."""
    needed_values, needed = set(outputs), []
    for node in reversed(nodes):
        if needed_values.intersection(node.outputs):
            needed_values.update(node.inputs)
            needed.append(node)
    return needed[::-1]


def _node(fields: _Fields) -> Node:
    inputs, outputs = (tuple(map(_text, fields.get(field, []))) for field in (1, 2))
    attributes = dict(_attribute(_message(value)) for value in fields.get(5, []))
    return Node(_text(_only(fields, 4)), inputs, outputs, attributes)


def _attribute(fields: _Fields) -> tuple[str, Any]:
    name, kind = _text(_only(fields, 1)), _only(fields, 20)
    match kind:
        case 1:
            return name, _float(_only(fields, 2))
        case 2:
            return name, _signed(fields.get(3, [0])[-1])
        case 3:
            return name, _text(fields.get(4, [_EMPTY])[-1])
        case 4:
            return name, _tensor(_message(_only(fields, 5)))[1]
        case 6:
            return name, tuple(np.frombuffer(b"".join(map(_bytes, fields.get(7, []))), "<f4").tolist())
        case 7:
            return name, tuple(_integers(fields.get(8, [])))
    raise ValueError(f"the attribute {name} has the type {kind!r}, which is not read here")


def _tensor(fields: _Fields) -> tuple[str, NDArray[Any]]:
    """Returns the name and the array of a TensorProto."""
    shape, kind = tuple(_integers(fields.get(1, []))), _only(fields, 2)
    if kind not in _TYPES:
        raise ValueError(f"a tensor has the data type {kind!r}, which is not read here")
    type_ = np.dtype(_TYPES[kind])
    if 13 in fields or any(place != _IN_THIS_FILE for place in _integers(fields.get(14, []))):
        raise ValueError("its tensors are in other files")
    if min(shape, default=0) < 0 or np.prod(shape, dtype=np.float64) > _MAX_VALUES:
        raise ValueError(f"a tensor has the shape {shape}")
    if 9 in fields:
        array = np.frombuffer(_bytes(_only(fields, 9)), type_)
    elif kind in (1, 11):
        array = np.frombuffer(b"".join(map(_bytes, fields.get(_DATA_FIELDS[kind], []))), type_)
    else:
        array = np.array(_integers(fields.get(_DATA_FIELDS[kind], [])), np.int64).astype(type_)
    return _text(fields.get(8, [_EMPTY])[-1]), array.reshape(shape)


def read_fields(data: bytes | memoryview) -> list[tuple[int, int | memoryview]]:
    """Returns the fields (number, value) of a message: whole numbers, or bytes for all other wire types.

    Raises ``ValueError`` and ``IndexError`` for bytes that are no message.
    """
    return list(_fields(memoryview(data)))


def _message(data: _Value) -> _Fields:
    """Returns the values of each field."""
    fields: _Fields = {}
    for number, value in _fields(_bytes(data)):
        fields.setdefault(number, []).append(value)
    return fields


def _fields(data: memoryview) -> Iterator[tuple[int, _Value]]:
    position = 0
    while position < len(data):
        key, position = _protobuf_varint(data, position)
        wire = key & 7
        if wire == _VARINT:
            value, position = _protobuf_varint(data, position)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, position = _protobuf_varint(data, position)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {position} is not the start of a field")
        if position + size > len(data):
            raise ValueError(f"it ends within the field at byte {position}")
        yield key >> 3, data[position : position + size]
        position += size


def _protobuf_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"the number at byte {position} is longer than 64 bits")


def _integers(values: list[_Value]) -> list[int]:
    """Returns the numbers of a repeated field, which may be packed."""
    numbers = []
    for value in values:
        if isinstance(value, int):
            numbers.append(_signed(value))
            continue
        position = 0
        while position < len(value):
            number, position = _protobuf_varint(value, position)
            numbers.append(_signed(number))
    return numbers


def _only(fields: _Fields, number: int) -> _Value:
    if number not in fields:
        raise ValueError(f"the field {number} is missing")
    return fields[number][-1]


def _signed(value: _Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a number is missing")
    return value - (1 << 64) if value >> 63 else value


def _float(value: _Value) -> float:
    return float(struct.unpack("<f", _bytes(value))[0])


def _bytes(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError(f"{value} stands where bytes belong")
    return value


def _text(value: _Value) -> str:
    return bytes(_bytes(value)).decode()
