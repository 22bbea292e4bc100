"""LPIPS with SqueezeNet, from a graph that the user has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.compare.metrics.base import Pixels, UnmeasurableError
from calotype.errors import ModelError
from calotype.models.onnx_session import OnnxSession

__all__ = ["Lpips"]

_SMALLEST = 32


class Lpips:
    """LPIPS v0.1 through ONNX Runtime: 0 for equal pictures.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018.
    The graph takes ``ref`` and ``dist``, float32[1, 3, H, W] with ImageNet's normalisation. Figures of
    papers mostly use AlexNet and do not compare with SqueezeNet's.
    """

    title, unit, digits, lower_is_better = "LPIPS", "", 4, True
    about = "Differences that an observer would notice, by a network's features; lower is better."

    _MEAN = np.array([0.485, 0.456, 0.406], np.float32)
    _STD = np.array([0.229, 0.224, 0.225], np.float32)

    def __init__(self, graph: Path | None, threads: int | None = None) -> None:
        if graph is None:
            raise ModelError("needs a graph of the metric: --lpips FILE")
        try:
            content = graph.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read the LPIPS graph {graph}: {error.strerror}") from error
        self._session = OnnxSession(content, threads, name=f"the LPIPS graph {graph}")
        if self._session.inputs != {"ref", "dist"}:
            raise ModelError(f"{graph} is not an LPIPS graph: its inputs must be 'ref' and 'dist'")

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        if min(reference.shape[:2]) < _SMALLEST:
            raise UnmeasurableError(f"needs {_SMALLEST} pixels on each side")
        distance = self._session.run(
            ref=self._standardised_pixels(reference), dist=self._standardised_pixels(picture)
        )
        return float(np.ravel(distance)[0])

    def _standardised_pixels(self, rgb: Pixels) -> NDArray[np.float32]:
        x = (rgb.astype(np.float32) / 255 - self._MEAN) / self._STD
        return np.ascontiguousarray(x.transpose(2, 0, 1))
