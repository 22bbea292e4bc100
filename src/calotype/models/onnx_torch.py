"""ONNX graphs in torch, to differentiate what ships only as a graph: the embedded decoders, LPIPS.

Covers the operators that those graphs have, no more; anything else is refused by name at load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from calotype.errors import ModelError
from calotype.latents import SD1
from calotype.models.grain import grain_noise

try:
    import onnx
    import torch
    import torch.nn.functional as F
    from onnx import numpy_helper
    from torch import Tensor
except ImportError as error:
    raise ModelError(f"needs {error.name}: pip install 'calotype[sd]'") from error

__all__ = ["OPERATORS", "TorchGraph", "TorchGraphDecoder"]

Attributes = Mapping[str, Any]
_Task = tuple[str, Attributes, list[str], str]  # operator, attributes, inputs, output


def _conv_operator(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    _check_attribute(a, "dilations", [1, 1])
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return F.conv2d(x, weight, bias, a.get("strides", [1, 1]), (top, left), groups=a.get("group", 1))


def _max_pool_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "pads", [0, 0, 0, 0])
    _check_attribute(a, "dilations", [1, 1])
    return F.max_pool2d(x, a["kernel_shape"], a["strides"], ceil_mode=bool(a.get("ceil_mode")))


def _average_pool_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "pads", [0, 0, 0, 0])
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


def _cast_operator(a: Attributes, x: Tensor) -> Tensor:
    _check_attribute(a, "to", onnx.TensorProto.FLOAT)
    return x.float()


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
    "Reshape": lambda a, x, shape: x.reshape(shape.tolist()),
    "Resize": _resize_operator,
    "Sqrt": lambda a, x: torch.sqrt(x + 1e-12),  # whose gradient at 0 is finite
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
}
"""By their names in ONNX: (attributes, inputs ...) to the first output."""


class TorchGraph:
    """A graph with one output; calling it takes the inputs by name, float32 with a batch of one."""

    def __init__(self, data: bytes) -> None:
        """Raises :class:`ModelError` if ``data`` is no graph, or has operators not known here."""
        try:
            graph = onnx.load_from_string(data).graph
        except Exception as error:  # protobuf's exceptions share no public base class
            raise ModelError(f"not an ONNX graph: {error}") from error
        unknown = {node.op_type for node in graph.node} - set(OPERATORS)
        if unknown:
            raise ModelError(f"cannot differentiate a graph with the operators {', '.join(sorted(unknown))}")
        self._weights = {tensor.name: _tensor_of_proto(tensor) for tensor in graph.initializer}
        self._nodes = []
        for node in graph.node:
            attributes = {a.name: _attribute_of_proto(a) for a in node.attribute}
            task = (node.op_type, attributes, list(node.input), node.output[0])
            if all(name in self._weights for name in node.input):  # a constant: once is enough
                self._run(task, self._weights)
            else:
                self._nodes.append(task)
        self._output = graph.output[0].name
        self.inputs = {value.name for value in graph.input} - set(self._weights)

    def __call__(self, **inputs: Tensor) -> Tensor:
        values = self._weights | inputs
        for task in self._nodes:
            self._run(task, values)
        return values[self._output]

    @staticmethod
    def _run(task: _Task, values: dict[str, Tensor]) -> None:
        operator, attributes, names, output = task
        values[output] = OPERATORS[operator](attributes, *(values[n] if n else None for n in names))


class TorchGraphDecoder:
    """The graph of an ``OnnxDecoder``; see :class:`calotype.models.TorchDecoder`."""

    def __init__(self, data: bytes, margin: int) -> None:
        self.margin = margin
        self._graph = TorchGraph(data)
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
        return self._graph(**inputs)[..., : SD1.factor * height, : SD1.factor * width]


def _tensor_of_proto(proto: Any) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(proto).copy())


def _attribute_of_proto(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return _tensor_of_proto(value)
    return value.decode() if isinstance(value, bytes) else value


def _check_attribute(a: Attributes, name: str, wanted: Any) -> None:
    if a.get(name, wanted) != wanted:
        raise ModelError(f"cannot differentiate a graph with {name} (={a[name]}) other than {wanted}")
