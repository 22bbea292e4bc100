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
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.graph_editor import GraphEditor
from calotype.models.onnx_file import Graph, Node

__all__ = ["Range", "block_activations", "int8_ranges", "large_convolutions", "use_int8_activations"]

Range = tuple[float, float]
"""The smallest and the largest value of an activation that uint8 represents."""


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


def use_int8_activations(editor: GraphEditor, ranges: Mapping[str, Range]) -> None:
    """Gives a graph 8-bit activations in its residual blocks.

    Convolutions with an activation that is not in ``ranges`` stay in float32. Raises :class:`ModelError` for
    a graph that has none of the activations.
    """
    values = {name for node in editor.graph.nodes for name in (*node.inputs, *node.outputs)}
    if unknown := ranges.keys() - values:
        raise ModelError(f"the graph has no activation {min(unknown)}: python -m scripts.fit_int8_ranges")
    conversion = _Conversion(editor.graph, ranges)
    editor.replace_nodes([new for node in editor.graph.nodes for new in conversion.nodes(node)])
    editor.add_constants(conversion.constants)


class _Conversion:
    """The state of the conversion of one graph: the new ``constants``, and what is quantised."""

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
        self.constants: dict[str, NDArray[Any]] = {}
        self._units: dict[str, np.float32] = {}

    def nodes(self, node: Node) -> list[Node]:
        """Returns the nodes that take the place of one."""
        output = node.outputs[0]
        if output in self._convolutions:
            return self._convolution(node)
        if output in self._relu_outputs:
            return []  # The preceding convolution includes it.
        return [node]

    def _convolution(self, node: Node) -> list[Node]:
        _, weight, weight_unit = self._convolutions[node.outputs[0]]
        source, output = self._activations[node.outputs[0]]
        nodes = []
        if source not in self._units:
            self._add_range(source)
            quantised = Node("QuantizeLinear", (source, *_range_names(source)), (_quantised(source),), {})
            nodes.append(quantised)
        self._add_range(output)
        names = [f"{output}_weight_unit", f"{output}_weight_zero", f"{output}_bias"]
        bias = np.rint(self._bias(node) / (self._units[source] * weight_unit)).astype(np.int32)
        arrays: list[NDArray[Any]] = [weight_unit, np.zeros(len(weight_unit), np.int8), bias]
        self.constants.update(zip(names, arrays, strict=True))
        inputs = (
            _quantised(source),
            *_range_names(source),
            weight,
            *names[:2],
            *_range_names(output),
            names[2],
        )
        attributes = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
        nodes.append(Node("QLinearConv", inputs, (_quantised(output),), attributes))
        if self._is_read_as_float(output):
            dequantised = (_quantised(output), *_range_names(output))
            nodes.append(Node("DequantizeLinear", dequantised, (output,), {}))
        return nodes

    def _add_range(self, name: str) -> None:
        """Adds the constants of an activation's range."""
        unit, zero = _unit_and_zero(self._ranges[name])
        self._units[name] = unit
        self.constants.update(zip(_range_names(name), (np.array(unit), np.array(zero)), strict=True))

    def _bias(self, node: Node) -> NDArray[np.float32]:
        """Returns the bias float32[O] of a convolution, which is stored as float16 and cast."""
        name = node.inputs[2]
        stored = self._producers[name].inputs[0] if name in self._producers else name
        return self._graph.constants[stored].astype(np.float32)

    def _is_read_as_float(self, name: str) -> bool:
        """Returns whether an activation has users besides the converted convolutions."""
        users = [node for node in self._graph.nodes if name in node.inputs]
        return name in self._graph.outputs or any(node.outputs[0] not in self._convolutions for node in users)


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
