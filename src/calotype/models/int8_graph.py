"""Converts an embedded graph to 8-bit activations, with which processors with VNNI take half the time.

::

    x ─ quantise ─ convolution ─ ReLU ─ convolution ─ dequantise ─ + ─
    └──────────────────────────────────────────────────────────────┘

The weights of the residual blocks are int8 in the file already, and are used as they are. The inputs and
outputs of their convolutions become uint8, in the ranges that ``int8_ranges.json`` has for them. All else
stays in float32, above all the sums of the blocks.

The pixels and latents differ from those in float32, by little against what a quantiser of latents loses. The
encoder may therefore compute so. A decoder must not: its pixels have to be within a tolerance of 1/255.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.onnx_file import Graph, Node, read_fields, read_graph
from calotype.models.protobuf import pack_message, pack_node, pack_tensor

__all__ = ["Range", "block_activations", "int8_graph", "int8_ranges", "large_convolutions"]

Range = tuple[float, float]
"""The smallest and the largest value of an activation that uint8 represents."""

_GRAPH, _NODE, _CONSTANT = 7, 1, 5
"""Field numbers of ``ModelProto.graph``, ``GraphProto.node`` and ``GraphProto.initializer`` in onnx.proto."""


@cache
def int8_ranges() -> dict[str, dict[str, Range]]:
    """Returns the ranges of activations by their names, for each file of a graph.

    ``scripts/fit_int8_ranges.py`` writes them.
    """
    text = (files("calotype.models") / "int8_ranges.json").read_text("utf-8")
    content: dict[str, dict[str, Sequence[float]]] = json.loads(text)
    return {
        file: {name: (low, high) for name, (low, high) in ranges.items()} for file, ranges in content.items()
    }


def large_convolutions(graph: Graph) -> dict[str, tuple[Node, str, NDArray[np.float32]]]:
    """Returns the 3x3 convolutions of the residual blocks: node, name and unit float32[O] of the weights.

    They have as many outputs as inputs. The keys are the names of their outputs. The weights are a constant
    int8, cast to float32 and multiplied by a float32 for each output channel.
    """
    producers = {node.outputs[0]: node for node in graph.nodes}
    found: dict[str, tuple[Node, str, NDArray[np.float32]]] = {}
    for node in graph.nodes:
        product = producers.get(node.inputs[1]) if node.operator == "Conv" else None
        if product is None or product.operator != "Mul":
            continue
        stored = producers[product.inputs[0]].inputs[0]
        weight = graph.constants[stored]
        if weight.dtype == np.int8 and weight.shape[2:] == (3, 3) and weight.shape[0] == weight.shape[1]:
            unit = graph.constants[product.inputs[1]].astype(np.float32).ravel()
            found[node.outputs[0]] = (node, stored, unit)
    return found


def block_activations(graph: Graph) -> dict[str, tuple[str, str]]:
    """Returns the names of input and output of each of the large convolutions, by the name of its output.

    If nothing but a ReLU reads the output, the output after it: the convolution includes the ReLU.
    """
    found = {}
    for output, (node, _, _) in large_convolutions(graph).items():
        users = [user for user in graph.nodes if output in user.inputs]
        alone = len(users) == 1 and users[0].operator == "Relu"
        found[output] = node.inputs[0], users[0].outputs[0] if alone else output
    return found


def int8_graph(data: bytes, ranges: Mapping[str, Range]) -> bytes:
    """Returns the ONNX graph ``data`` with 8-bit activations in the residual blocks.

    Convolutions with an activation that is not in ``ranges`` stay in float32. Raises :class:`ModelError` for
    a graph that is none, or that has none of the activations.
    """
    graph = read_graph(data)
    if unknown := ranges.keys() - {name for node in graph.nodes for name in (*node.inputs, *node.outputs)}:
        raise ModelError(f"the graph has no activation {min(unknown)}: python -m scripts.fit_int8_ranges")
    return _Conversion(graph, ranges).converted(data)


class _Conversion:
    """The state of the conversion of one graph: the new nodes, their constants, and what is quantised."""

    def __init__(self, graph: Graph, ranges: Mapping[str, Range]) -> None:
        self._graph, self._ranges = graph, ranges
        self._activations = {
            output: names
            for output, names in block_activations(graph).items()
            if all(name in ranges for name in names)
        }
        self._convolutions = {
            output: content
            for output, content in large_convolutions(graph).items()
            if output in self._activations
        }
        self._relu_outputs = {after for output, (_, after) in self._activations.items() if after != output}
        self._producers = {node.outputs[0]: node for node in graph.nodes}
        products = [node.inputs[1] for node, _, _ in self._convolutions.values()]
        self._float_weights = {*products, *(self._producers[name].inputs[0] for name in products)}
        self._constants: list[bytes] = []
        self._units: dict[str, np.float32] = {}

    def converted(self, data: bytes) -> bytes:
        """Returns the model with its nodes replaced; ``data`` is the file of the graph."""
        model = read_fields(data)
        fields = [field for field in model if field[0] != _GRAPH]
        content = read_fields(_messages(model, _GRAPH)[0])
        packed = _messages(content, _NODE)
        nodes = [
            new for node, raw in zip(self._graph.nodes, packed, strict=True) for new in self._nodes(node, raw)
        ]
        graph: list[tuple[int, bytes | memoryview | int]] = [
            (number, value) for number, value in content if number != _NODE
        ]
        graph += [(_NODE, node) for node in nodes] + [(_CONSTANT, value) for value in self._constants]
        return pack_message([*fields, (_GRAPH, pack_message(graph))])

    def _nodes(self, node: Node, raw: memoryview) -> Iterable[bytes | memoryview]:
        """Returns the nodes that take the place of one; ``raw`` is that node itself."""
        output = node.outputs[0]
        if output in self._convolutions:
            return self._convolution(node)
        if output in self._relu_outputs:
            return []  # The preceding convolution includes it.
        return [] if output in self._float_weights else [raw]

    def _convolution(self, node: Node) -> list[bytes]:
        _, weight, weight_unit = self._convolutions[node.outputs[0]]
        source, output = self._activations[node.outputs[0]]
        nodes = []
        if source not in self._units:
            self._add_range(source)
            nodes.append(pack_node("QuantizeLinear", [source, *_range_names(source)], _quantised(source)))
        self._add_range(output)
        names = [f"{output}_weight_unit", f"{output}_weight_zero", f"{output}_bias"]
        bias = np.rint(self._bias(node) / (self._units[source] * weight_unit)).astype(np.int32)
        arrays: list[NDArray[Any]] = [weight_unit, np.zeros(len(weight_unit), np.int8), bias]
        self._constants += map(pack_tensor, names, arrays)
        inputs = [
            _quantised(source),
            *_range_names(source),
            weight,
            *names[:2],
            *_range_names(output),
            names[2],
        ]
        attributes = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
        nodes.append(pack_node("QLinearConv", inputs, _quantised(output), attributes))
        if self._is_read_as_float(output):
            nodes.append(pack_node("DequantizeLinear", [_quantised(output), *_range_names(output)], output))
        return nodes

    def _add_range(self, name: str) -> None:
        """Adds the constants of an activation's range."""
        unit, zero = _unit_and_zero(self._ranges[name])
        self._units[name] = unit
        arrays: list[NDArray[Any]] = [np.array(unit), np.array(zero)]
        self._constants += map(pack_tensor, _range_names(name), arrays)

    def _bias(self, node: Node) -> NDArray[np.float32]:
        """Returns the bias float32[O] of a convolution, which is stored as float16 and cast."""
        name = node.inputs[2]
        stored = self._producers[name].inputs[0] if name in self._producers else name
        return self._graph.constants[stored].astype(np.float32)

    def _is_read_as_float(self, name: str) -> bool:
        """Returns whether an activation has users besides the converted convolutions."""
        users = [node for node in self._graph.nodes if name in node.inputs]
        return name in self._graph.outputs or any(node.outputs[0] not in self._convolutions for node in users)


def _messages(fields: Sequence[tuple[int, int | memoryview]], number: int) -> list[memoryview]:
    """Returns the messages among the values of the field ``number``."""
    return [value for field, value in fields if field == number and isinstance(value, memoryview)]


def _unit_and_zero(range_: Range) -> tuple[np.float32, np.uint8]:
    """Returns the unit of uint8 values, and the value that stands for 0."""
    low, high = min(range_[0], 0.0), max(range_[1], 0.0)
    unit = max((high - low) / 255, 1e-9)
    return np.float32(unit), np.uint8(min(max(round(-low / unit), 0), 255))


def _quantised(name: str) -> str:
    return f"{name}_uint8"


def _range_names(name: str) -> tuple[str, str]:
    """Returns the names of the constants that are the unit and the zero of an activation."""
    return f"{name}_unit", f"{name}_zero"
