"""Crops within a decoder's graph, so that each of its stages computes only what the wanted pixels depend on.

::

    latents ─ stage at 1/8 ─ crop ─ stage at 1/4 ─ crop ─ stage at 1/2 ─ pixels
              ├── read ──┤          ├ wanted + 7 ┤        ├ wanted + 3 ┤

A pixel depends on latents far away, but most of this distance is that of the first stage, at the size of the
latents. The following stages reach a few latents further. Without crops they would compute the whole margin
of a window, of which nothing is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.latents import SD1
from calotype.models.graph_editor import GraphEditor
from calotype.models.onnx_file import Graph, Node
from calotype.models.windows import Area, shift_area

__all__ = ["Crop", "add_crops", "crop_inputs"]

_SAME_POSITIONS = frozenset({"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Relu", "Sub", "Tanh"})
"""Operators whose output at a position depends on that position alone."""


@dataclass(frozen=True)
class Crop:
    """A crop of the activation ``name``, which has ``scale`` by ``scale`` positions for each latent.

    What follows reaches ``margin`` latents beyond the wanted ones. ``inputs`` are the inputs of the graph
    that enter between this crop and the next one, at this scale.
    """

    name: str
    scale: int
    margin: int
    inputs: frozenset[str] = frozenset()

    def area(self, wanted: Area, size: tuple[int, int]) -> Area:
        """Returns the rows and columns that are kept, in latents, of a window of ``size`` latents."""
        rows, columns = (
            slice(max(part.start - self.margin, 0), min(part.stop + self.margin, length))
            for part, length in zip(wanted, size, strict=True)
        )
        return rows, columns


def add_crops(editor: GraphEditor) -> tuple[Crop, ...]:
    """Adds crops to a decoder's graph and returns them in the order of computation.

    A crop is added where all that follows depends on one activation, and on inputs of the graph: behind the
    steps that enlarge the activations, but the one that makes pixels. Each crop has two inputs in the graph,
    which :func:`crop_inputs` makes.
    """
    crops = {crop.name: crop for crop in _places_of_crops(editor.graph)}
    for name in crops:
        for end in _bound_names(name):
            editor.add_input(end, "int64", 2)
    if crops:
        editor.add_constants({_FIRST_AXIS: np.array([0]), _AXES: np.array([2, 3])})

    def cropped(node: Node) -> list[Node]:
        name = node.outputs[0]
        if name not in crops:
            return [node]
        bounds = _bound_names(name)
        vectors = tuple(f"{bound}_vector" for bound in bounds)
        return [
            replace(node, outputs=(f"{name}_whole",)),
            *(
                Node("Squeeze", (bound, _FIRST_AXIS), (vector,), {})
                for bound, vector in zip(bounds, vectors, strict=True)
            ),
            Node("Slice", (f"{name}_whole", *vectors, _AXES), (name,), {}),
        ]

    editor.replace_nodes([new for node in editor.graph.nodes for new in cropped(node)])
    return tuple(crops[node.outputs[0]] for node in editor.graph.nodes if node.outputs[0] in crops)


_FIRST_AXIS, _AXES = "first_axis", "crop_axes"
"""The names of constants."""


def _bound_names(name: str) -> tuple[str, str]:
    return f"{name}_starts", f"{name}_ends"


def crop_inputs(crops: tuple[Crop, ...], wanted: Area, size: tuple[int, int]) -> dict[str, NDArray[np.int64]]:
    """Returns the inputs of the crops, int64[2] each, for the wanted latents in a window of ``size``
    latents."""
    inputs: dict[str, NDArray[np.int64]] = {}
    top, left = 0, 0
    for crop in crops:
        area = crop.area(wanted, size)
        rows, columns = shift_area(area, -top, -left)
        starts, ends = _bound_names(crop.name)
        inputs[starts] = crop.scale * np.array([rows.start, columns.start])
        inputs[ends] = crop.scale * np.array([rows.stop, columns.stop])
        top, left = area[0].start, area[1].start
    return inputs


def _places_of_crops(graph: Graph) -> list[Crop]:
    """Returns the crops that are possible, from the last to the first, by a walk from the output backwards.

    The walk keeps the names of what is still needed, and how far it is needed beyond the wanted part.
    """
    constant = _constant_values(graph)
    needed, scale = dict.fromkeys(graph.outputs, 0), SD1.factor
    crops: list[Crop] = []
    for node in reversed(graph.nodes):
        name = node.outputs[0]
        if name not in needed or name in constant:
            continue
        reach = _reach(node)
        if scale == 1 or reach is None:
            break
        inputs = needed.keys() & set(graph.inputs)
        if node.operator == "DepthToSpace":
            if needed.keys() - inputs == {name}:
                inputs -= {known for crop in crops for known in crop.inputs}
                if scale < SD1.factor:
                    crops.append(Crop(name, scale, -(-needed[name] // scale), frozenset(inputs)))
            enlarged = node.attributes["blocksize"]
            scale //= enlarged
            before = -(-needed.pop(name) // enlarged)
        else:
            before = needed.pop(name) + reach
        for source in node.inputs:
            if source and source not in constant:
                needed[source] = max(needed.get(source, 0), before)
    return crops


def _reach(node: Node) -> int | None:
    """Returns how many positions beyond its own an output depends on; None if that is not known."""
    attributes: dict[str, Any] = node.attributes
    if node.operator == "Conv":
        if set(attributes.get("strides", (1,))) | set(attributes.get("dilations", (1,))) != {1}:
            return None
        return int(max(attributes["kernel_shape"])) // 2
    return 0 if node.operator in _SAME_POSITIONS | {"DepthToSpace"} else None


def _constant_values(graph: Graph) -> set[str]:
    """Returns the names of all values that do not depend on an input of the graph."""
    names = set(graph.constants)
    for node in graph.nodes:
        if names.issuperset(filter(None, node.inputs)):
            names.update(node.outputs)
    return names
