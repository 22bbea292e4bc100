"""LPIPS with SqueezeNet, from a graph that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.compare.metrics.base import Pixels, UnmeasurableError
from calotype.errors import ModelError

__all__ = ["Lpips"]

_SMALLEST = 32


class Lpips:
    """LPIPS v0.1 through ONNX Runtime: 0 for equal pictures.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018.
    The graph takes ``ref`` and ``dist``, float32[1, 3, H, W] with ImageNet's normalisation. Figures of
    papers mostly use AlexNet and do not compare with SqueezeNet's.
    """

    title, unit, digits, lower_is_better = "LPIPS", "", 4, True
    about = "What an observer would notice, by a network's features; 0 at best, lower is better."

    _MEAN = np.array([0.485, 0.456, 0.406], np.float32)
    _STD = np.array([0.229, 0.224, 0.225], np.float32)

    def __init__(self, graph: Path | None, threads: int | None = None) -> None:
        if graph is None:
            raise ModelError("needs a graph of the metric: --lpips FILE")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions share no public base class
            raise ModelError(f"cannot load the LPIPS graph {graph}: {error}") from error
        if {put.name for put in session.get_inputs()} != {"ref", "dist"}:
            raise ModelError(f"{graph} is no LPIPS graph: its inputs must be 'ref' and 'dist'")
        self._session: Any = session

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        if min(reference.shape[:2]) < _SMALLEST:
            raise UnmeasurableError(f"needs {_SMALLEST} pixels on each side")
        inputs = {"ref": self._normalised(reference), "dist": self._normalised(picture)}
        return float(np.ravel(self._session.run(None, inputs)[0])[0])

    def _normalised(self, rgb: Pixels) -> NDArray[np.float32]:
        x = (rgb.astype(np.float32) / 255 - self._MEAN) / self._STD
        return np.ascontiguousarray(x.transpose(2, 0, 1)[None])
