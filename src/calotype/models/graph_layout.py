"""Rewrites graphs so that ONNX Runtime keeps its fastest layout of activations, at equal results.

Its convolutions work on blocks of channels. Operators that do not know this layout, such as those that move
pixels between channels and positions, make it convert the activations before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from calotype.models.graph_editor import GraphEditor
from calotype.models.onnx_file import Node

__all__ = ["keep_blocks_after_depth_to_space", "merge_space_to_depth"]

_BLOCK = 16
"""The largest number of channels in a block."""

_Step = tuple[str, tuple[int, ...]]

_SPACE_TO_DEPTH: tuple[_Step, ...] = (
    ("Squeeze", (2, 3)),
    ("Reshape", (0, -1, 1, 1, 0, 0)),
    ("Transpose", (0, 1, 3, 5, 2, 4)),
    ("Reshape", (0, 0, 0, 0, -1, 2)),
    ("Reshape", (0, 0, -1, 2, 0)),
    ("Unsqueeze", (3,)),
)
"""The steps, from the last to the first, by which exported graphs move 2x2 positions to channels: operators
with their permutation, axes or shape."""


def merge_space_to_depth(editor: GraphEditor) -> None:
    """Replaces each move of 2x2 positions to channels, followed by a 1x1 convolution, by one 2x2 convolution.

    It has the stride 2 and the same weights, in another shape.
    """
    graph = editor.graph
    producers = {node.outputs[0]: node for node in graph.nodes}

    def merged(node: Node) -> list[Node]:
        if node.operator != "Conv" or node.attributes.get("kernel_shape") != (1, 1):
            return [node]
        source = _before_space_to_depth(node.inputs[0], producers)
        if source is None:
            return [node]
        weight = node.inputs[1]
        shape, shaped = f"{weight}_shape", f"{weight}_2x2"
        editor.add_constants({shape: np.array([0, -1, 2, 2])})
        attributes = node.attributes | {"kernel_shape": (2, 2), "strides": (2, 2)}
        return [
            Node("Reshape", (weight, shape), (shaped,), {}),
            Node("Conv", (source, shaped, *node.inputs[2:]), node.outputs, attributes),
        ]

    editor.replace_nodes([new for node in graph.nodes for new in merged(node)])


def _before_space_to_depth(name: str, producers: Mapping[str, Node]) -> str | None:
    """Returns the activation whose 2x2 positions the steps before ``name`` move to channels; None without
    them."""
    for step in _SPACE_TO_DEPTH:
        node = producers.get(name)
        if node is None or _step(node, producers) != step:
            return None
        name = node.inputs[0]
    return name


def _step(node: Node, producers: Mapping[str, Node]) -> _Step | None:
    if node.operator == "Transpose":
        return node.operator, node.attributes["perm"]
    constant = producers.get(node.inputs[1]) if len(node.inputs) == 2 else None
    if constant is None or constant.operator != "Constant":
        return None
    return node.operator, tuple(np.ravel(constant.attributes["value"]).tolist())


def keep_blocks_after_depth_to_space(editor: GraphEditor) -> None:
    """Puts a convolution that changes nothing behind each move of channels to positions.

    Its output is in blocks of channels. Otherwise all sums that follow would be computed in the plain
    layout, and converted for each convolution.
    """
    graph = editor.graph
    producers = {node.outputs[0]: node for node in graph.nodes}

    def blocked(node: Node) -> list[Node]:
        convolution = producers.get(node.inputs[0]) if node.operator == "DepthToSpace" else None
        if convolution is None or convolution.operator != "Conv":
            return [node]
        weight = convolution.inputs[1]
        while weight in producers:  # It is stored in another type.
            weight = producers[weight].inputs[0]
        channels = graph.constants[weight].shape[0] // node.attributes["blocksize"] ** 2
        if channels % _BLOCK:
            return [node]
        name = node.outputs[0]
        plain, ones = f"{name}_plain", f"{name}_ones"
        editor.add_constants({ones: np.ones((channels, 1, 1, 1), np.float32)})
        attributes = {"group": channels, "kernel_shape": (1, 1)}
        return [replace(node, outputs=(plain,)), Node("Conv", (plain, ones), (name,), attributes)]

    editor.replace_nodes([new for node in graph.nodes for new in blocked(node)])
