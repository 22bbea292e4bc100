"""Changes ONNX graphs: nodes, constants and inputs, while weights stay in the file that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.onnx_file import Graph, Node, needed_nodes, read_fields, read_graph
from calotype.models.protobuf import Fields, pack_message, pack_node, pack_tensor, pack_value_info

__all__ = ["GraphEditor"]

_GRAPH, _NODE, _CONSTANT, _INPUT = 7, 1, 5, 11
"""Field numbers of ``ModelProto.graph`` and of the lists of ``GraphProto`` in onnx.proto."""


class GraphEditor:
    """An ONNX graph that several functions change, one after another, before it is written once."""

    def __init__(self, data: bytes) -> None:
        """Raises :class:`ModelError` if ``data`` is no graph."""
        self.graph: Graph = read_graph(data)
        model = read_fields(data)
        content = read_fields(_only_message(model, _GRAPH))
        packed_nodes = (value for number, value in content if number == _NODE)
        self._packed = dict(zip(map(id, self.graph.nodes), packed_nodes, strict=True))
        self._originals = self.graph.nodes  # as long as these live, no new node has the id of one of them
        self._model: Fields = [field for field in model if field[0] != _GRAPH]
        self._content: Fields = [field for field in content if field[0] != _NODE]

    def replace_nodes(self, nodes: Sequence[Node]) -> None:
        """Replaces all nodes, by the same ones or others; those that no output needs are left out."""
        self.graph = replace(self.graph, nodes=tuple(needed_nodes(nodes, self.graph.outputs)))

    def add_constants(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Adds constants float32, uint8, int8, int32 or int64, by their names."""
        self.graph.constants.update(arrays)
        self._content += [(_CONSTANT, pack_tensor(name, array)) for name, array in arrays.items()]

    def add_input(self, name: str, dtype: str, dimensions: int) -> None:
        """Adds an input of any shape with this number of dimensions."""
        self.graph = replace(self.graph, inputs=(*self.graph.inputs, name))
        self._content.append((_INPUT, pack_value_info(name, dtype, dimensions)))

    def packed(self) -> bytes:
        """Returns the file of the graph."""
        nodes = [(_NODE, self._packed.get(id(node)) or pack_node(node)) for node in self.graph.nodes]
        return pack_message([*self._model, (_GRAPH, pack_message([*nodes, *self._content]))])


def _only_message(fields: Sequence[tuple[int, int | memoryview]], number: int) -> memoryview:
    for field, value in fields:
        if field == number and isinstance(value, memoryview):
            return value
    raise ModelError(f"not an ONNX graph: the field {number} is missing")
