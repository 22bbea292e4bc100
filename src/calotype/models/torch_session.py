"""Embedded networks through torch, on a GPU.

Sums are taken in float32 as on the CPU, without TensorFloat-32, unless bfloat16 or float16 is asked for.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.native import native_memory_errors
from calotype.models.onnx_torch import TorchGraph
from calotype.models.places import Place

__all__ = ["TorchSession"]


class TorchSession:
    """One graph on the device and in the dtype of ``place``; calls from several threads take turns.

    Raises :class:`ModelError` for a graph that torch cannot run, and :class:`OutOfMemoryError`.
    """

    def __init__(self, graph: bytes, place: Place) -> None:
        self._place = place
        self._device, self._dtype = torch.device(place.device), getattr(torch, place.dtype)
        self._lock = threading.Lock()
        with native_memory_errors():
            self._graph = TorchGraph(graph).to(place.device, self._dtype)
        self.inputs = self._graph.inputs

    def run(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Returns the graph's output for inputs without their first axis (of length 1)."""
        return self.run_batch(**{name: array[None] for name, array in inputs.items()})[0]  # type: ignore[no-any-return]

    def run_batch(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Returns the graph's outputs float32[n, ...] for n pictures.

        Raises :class:`ModelError` if the dtype's range was too small, and :class:`OutOfMemoryError`.
        """
        with self._lock, torch.inference_mode(), _exact_sums(), native_memory_errors():
            tensors = {name: self._tensor(array) for name, array in inputs.items()}
            output: NDArray[np.float32] = self._graph(**tensors).float().cpu().numpy()
        if not np.isfinite(output).all():
            raise ModelError(f"{self._place.dtype} overflows in the embedded model: use --dtype float32")
        return output

    def _tensor(self, array: NDArray[Any]) -> Any:
        """Returns an input on the device, or integers, such as the bounds of a crop, on the CPU."""
        if array.dtype == np.int64:
            return torch.from_numpy(array)
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device, self._dtype)
        return tensor.contiguous(memory_format=torch.channels_last)


def _exact_sums() -> AbstractContextManager[None]:
    """Returns a context without TensorFloat-32 in convolutions, which torch allows there by default."""
    context: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    return context
