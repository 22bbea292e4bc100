"""Embedded networks through OpenVINO, on the CPU: faster than ONNX Runtime where that lacks bfloat16.

One compilation serves every size of picture or tile; what OpenVINO prepares for a size it keeps.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = ["OpenvinoSession"]

_REPORTS = "openvino_telemetry"


class OpenvinoSession:
    """One ONNX graph; ``threads`` None lets the library use every core.

    ``precision`` "f32" or "bf16"; a processor without bfloat16 computes in float32 all the same. Raises
    :class:`ModelError` without the library, or for a graph that it cannot run.
    """

    def __init__(self, graph: bytes, threads: int | None, precision: str) -> None:
        openvino = _import_openvino()
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same core
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            self._compiled: Any = core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", settings)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot load the embedded model: {error}") from error
        self.inputs = frozenset(port.any_name for port in self._compiled.inputs)

    def run(self, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The graph's output for inputs without their first axis, of length 1; from any thread."""
        feed = {name: np.ascontiguousarray(array[None]) for name, array in inputs.items()}
        request = self._compiled.create_infer_request()  # a request serves one thread at a time
        out: NDArray[np.float32] = request.infer(feed)[0][0]
        return out


def _import_openvino() -> Any:
    """The library, without the package by which its import is reported to Google Analytics.

    Nothing here opens a connection unasked. OpenVINO does without that package if it cannot be imported.
    """
    hide = "openvino" not in sys.modules and _REPORTS not in sys.modules
    if hide:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise ModelError("OpenVINO is missing: pip install 'calotype[openvino]'") from error
    finally:
        if hide:
            del sys.modules[_REPORTS]
    return openvino
