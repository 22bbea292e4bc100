"""Embedded networks through OpenVINO, on the CPU: faster than ONNX Runtime where that lacks bfloat16.

One compilation serves every size of picture or tile; OpenVINO keeps its preparations for a size.
"""

from __future__ import annotations

import io
import sys
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.native import PerProcess, native_memory_errors

__all__ = ["OpenvinoSession"]

_REPORTS = "openvino_telemetry"


class OpenvinoSession:
    """One ONNX graph; ``threads`` None lets the library use every core.

    ``precision`` "f32" or "bf16"; a processor without bfloat16 computes in float32 all the same. Raises
    :class:`ModelError` without the library, or for a graph that it cannot run, and
    :class:`OutOfMemoryError`.
    """

    def __init__(self, graph: bytes, threads: int | None, precision: str) -> None:
        self._compiled = PerProcess(partial(_compile_graph, graph, threads, precision))
        self.inputs = frozenset(port.any_name for port in self._compiled.get().inputs)

    def run(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Returns the graph's output for inputs without their first axis, of length 1; from any thread."""
        feed = {name: np.ascontiguousarray(array[None]) for name, array in inputs.items()}
        with native_memory_errors():
            request = self._compiled.get().create_infer_request()  # A request serves one thread at a time.
            out: NDArray[np.float32] = request.infer(feed)[0][0]
        return out


def _compile_graph(graph: bytes, threads: int | None, precision: str) -> Any:
    openvino = _import_openvino()
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # Otherwise several processes would be pinned to the same core.
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        with native_memory_errors():
            core = openvino.Core()
            return core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot load the embedded model: {error}") from error


def _import_openvino() -> Any:
    """Imports OpenVINO without the package that reports the import to Google Analytics.

    OpenVINO works without that package if it cannot be imported.
    """
    hide = "openvino" not in sys.modules and _REPORTS not in sys.modules
    if hide:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]
    try:
        with native_memory_errors():
            import openvino
    except ModuleNotFoundError as error:
        raise ModelError("OpenVINO is missing: pip install 'calotype[openvino]'") from error
    except ImportError as error:
        raise ModelError(f"OpenVINO cannot be loaded: {error}") from error
    finally:
        if hide:
            del sys.modules[_REPORTS]
    return openvino
