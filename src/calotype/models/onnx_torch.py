"""ONNX graphs in torch: to compute them on a GPU, and to differentiate them (the embedded decoders, LPIPS).

Covers the operators that those graphs have, no more; anything else is refused by name at load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.latents import SD1
from calotype.models.crops import Crop, crop_inputs
from calotype.models.grain import grain_noise
from calotype.models.onnx_file import Node, needed_nodes, read_graph
from calotype.models.windows import whole_area

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
except ImportError as error:
    raise ModelError(f"needs {error.name}: pip install 'calotype[sd]'") from error

__all__ = ["OPERATORS", "TorchGraph", "TorchGraphDecoder"]

Attributes = Mapping[str, Any]


def _conv_operator(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    _check_attribute(a, "dilations", (1, 1))
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return F.conv2d(x, weight, bias, a.get("strides", [1, 1]), (top, left), groups=a.get("group", 1))


def _max_pool_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "pads", (0, 0, 0, 0))
    _check_attribute(a, "dilations", (1, 1))
    return F.max_pool2d(x, a["kernel_shape"], a["strides"], ceil_mode=bool(a.get("ceil_mode")))


def _average_pool_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "pads", (0, 0, 0, 0))
    _check_attribute(a, "ceil_mode", 0)
    return F.avg_pool2d(x, a["kernel_shape"], a["strides"])


def _depth_to_space_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "mode", "CRD")
    return F.pixel_shuffle(x, a["blocksize"])


def _resize_operator(a: Attributes, x: Tensor, _region: Tensor | None, scales: Tensor) -> Tensor:
    _check_attribute(a, "mode", "nearest")
    return F.interpolate(x, scale_factor=scales[2:].tolist(), mode="nearest")


def _reduction_operator(by: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(a: Attributes, x: Tensor, axes: Tensor) -> Tensor:
        return by(x, axes.tolist(), keepdim=bool(a.get("keepdims", 1)))

    return reduce


def _reshape_operator(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.tolist()
    if not a.get("allowzero"):  # a size of 0 means the one of before
        sizes = [size or x.shape[axis] for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _slice_operator(_: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor) -> Tensor:
    index = [slice(None)] * x.ndim
    for axis, start, end in zip(axes.tolist(), starts.tolist(), ends.tolist(), strict=True):
        index[axis] = slice(start, end)
    return x[tuple(index)]


def _cast_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "to", _FLOAT)
    return x.float()


_FLOAT = 1  # the number of float32 in onnx.proto


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": _average_pool_operator,
    "Cast": _cast_operator,
    "Clip": lambda a, x, low=None, high=None: x.clamp(low, high),
    "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
    "Constant": lambda a: a["value"],
    "Conv": _conv_operator,
    "DepthToSpace": _depth_to_space_operator,
    "Div": lambda a, x, y: x / y,
    "Identity": lambda a, x: x,
    "MaxPool": _max_pool_operator,
    "Mul": lambda a, x, y: x * y,
    "Pow": lambda a, x, y: x**y,
    "ReduceMean": _reduction_operator(torch.mean),
    "ReduceSum": _reduction_operator(torch.sum),
    "Relu": lambda a, x: torch.relu(x),
    "Reshape": _reshape_operator,
    "Resize": _resize_operator,
    "Slice": _slice_operator,
    "Squeeze": lambda a, x, axes: x.squeeze(axes.tolist()),
    "Sqrt": lambda a, x: torch.sqrt(x + 1e-12),  # whose gradient at 0 is finite
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": lambda a, x, axes: _unsqueezed(x, axes.tolist()),
}
"""By their names in ONNX: (attributes, inputs ...) to the first output."""


class TorchGraph:
    """A graph; calling it takes the inputs by name, with any number of pictures, and returns its output.

    ``activations`` are the names of values within the graph; without them it has its own first output.
    """

    def __init__(self, data: bytes, activations: Sequence[str] = ()) -> None:
        """Raises :class:`ModelError` if ``data`` is no graph, or has operators or lacks activations that are
        needed."""
        graph = read_graph(data)
        absent = set(activations).difference(*(node.outputs for node in graph.nodes))
        if absent:
            raise ModelError(f"the graph has no activations {', '.join(sorted(absent))}")
        unknown = {node.operator for node in graph.nodes} - set(OPERATORS)
        if unknown:
            raise ModelError(f"torch cannot run a graph with the operators {', '.join(sorted(unknown))}")
        self._constants = {name: _tensor_of_array(array) for name, array in graph.constants.items()}
        self._nodes = []
        for node in graph.nodes:
            if all(name in self._constants for name in node.inputs):  # a constant: once is enough
                _compute(node, self._constants)
            else:
                self._nodes.append(node)
        self._outputs = tuple(activations) or graph.outputs[:1]
        self._nodes = needed_nodes(self._nodes, self._outputs)
        self.inputs = frozenset(graph.inputs)

    def to(self, device: str, dtype: torch.dtype) -> TorchGraph:
        """Returns the graph with its weights on a device, in ``dtype``, which its inputs must have too.

        Constants of whole numbers, such as shapes, stay on the CPU.
        """
        read = {name for node in self._nodes for name in node.inputs}
        moved = object.__new__(TorchGraph)
        moved._outputs, moved.inputs = self._outputs, self.inputs
        # All values have the dtype: what casts one number format to another has nothing to do.
        moved._nodes = [
            replace(node, operator="Identity") if node.operator == "Cast" else node for node in self._nodes
        ]
        moved._constants = {
            name: value.to(device, dtype) if value.is_floating_point() else value
            for name, value in self._constants.items()
            if name in read
        }
        for name, value in moved._constants.items():
            if value.ndim == 4:
                moved._constants[name] = value.contiguous(memory_format=torch.channels_last)
        return moved

    def on_cpu(self) -> TorchGraph:
        """Returns the graph for float32 on the CPU, its weights in the layout that is fastest there."""
        return self.to("cpu", torch.float32)

    def __call__(self, **inputs: Tensor) -> Tensor:
        return self.activations(**inputs)[0]

    def activations(self, **inputs: Tensor) -> list[Tensor]:
        """Returns all activations that the graph was made for, in their order."""
        values = self._constants | inputs
        for node in self._nodes:
            _compute(node, values)
        return [values[name] for name in self._outputs]


def _compute(node: Node, values: dict[str, Tensor]) -> None:
    """Computes the output of a node and adds it to ``values``."""
    arguments = (values[name] if name else None for name in node.inputs)
    values[node.outputs[0]] = OPERATORS[node.operator](_attributes_of_node(node), *arguments)


class TorchGraphDecoder:
    """The graph of an ``OnnxDecoder``; see :class:`calotype.models.TorchDecoder`."""

    def __init__(self, data: bytes, margin: int, crops: tuple[Crop, ...] = ()) -> None:
        self.margin, self._crops = margin, crops
        self._graph = TorchGraph(data).on_cpu()
        self.wants_conditional_mean = "conditional_mean" in self._graph.inputs

    def __call__(
        self, latents: Tensor, log_step: Tensor, conditional_mean: Tensor, origin: tuple[int, int] = (0, 0)
    ) -> Tensor:
        height, width = latents.shape[2:]
        inputs = {"latents": latents, "log_step": log_step, "conditional_mean": conditional_mean}
        odd = (0, width % 2, 0, height % 2)
        inputs = {n: F.pad(v, odd, mode="replicate") for n, v in inputs.items() if n in self._graph.inputs}
        if "grain" in self._graph.inputs:
            inputs["grain"] = torch.from_numpy(grain_noise(origin, *inputs["latents"].shape[2:]))[None]
        size = (height + height % 2, width + width % 2)
        for name, bounds in crop_inputs(self._crops, whole_area(*size), size).items():
            inputs[name] = torch.from_numpy(bounds)[None]
        return self._graph(**inputs)[..., : SD1.factor * height, : SD1.factor * width]


def _tensor_of_array(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.copy())


def _attributes_of_node(node: Node) -> Attributes:
    return {
        name: _tensor_of_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }


def _unsqueezed(x: Tensor, axes: list[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _check_attribute(a: Attributes, name: str, wanted: Any) -> None:
    if a.get(name, wanted) != wanted:
        raise ModelError(f"torch cannot run a graph with {name} (={a[name]}) other than {wanted}")
