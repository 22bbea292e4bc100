"""Embedded networks: ONNX graphs, run on the CPU by ONNX Runtime or another backend."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calotype.latents import SD1
from calotype.models.grain import grain_noise
from calotype.models.onnx_session import OnnxSession
from calotype.models.openvino_session import OpenvinoSession
from calotype.models.protocol import TorchDecoder
from calotype.options import DEFAULT_BACKEND

__all__ = ["OnnxDecoder", "OnnxEncoder", "OnnxFaceFinder"]


class _GraphSession(Protocol):
    """One graph."""

    @property
    def inputs(self) -> frozenset[str]:
        """The names that :meth:`run` takes."""
        ...

    def run(self, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the graph's output for inputs without their first axis (of length 1), from any thread."""
        ...


def _open_session(graph: bytes, threads: int | None, backend: str) -> _GraphSession:
    if backend == DEFAULT_BACKEND:
        return OnnxSession(graph, threads)
    return OpenvinoSession(graph, threads, "bf16" if backend.endswith("bf16") else "f32")


class _OnnxNetwork:
    """One graph, and the radius of its receptive field in latents."""

    def __init__(
        self, graph: bytes, margin: int, threads: int | None = None, backend: str = DEFAULT_BACKEND
    ) -> None:
        self.margin = margin
        self._graph = graph
        self._session = _open_session(graph, threads, backend)


class OnnxEncoder(_OnnxNetwork):
    """A graph ``pixels`` float32[1, 3, H, W] to float32[1, 4, H/8, W/8]; see :class:`Encoder`."""

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._session.run(pixels=pixels)


class OnnxFaceFinder(_OnnxNetwork):
    """A graph ``latents`` float32[1, 4, h, w], sides multiples of 4, to log odds; see :class:`FaceFinder`."""

    def find(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = latents.shape[1:]
        padded = np.pad(latents, ((0, 0), (0, -height % 4), (0, -width % 4)), mode="edge")
        log_odds = self._session.run(latents=padded)[0, :height, :width]
        probability: NDArray[np.float32] = 0.5 * np.tanh(0.5 * log_odds) + np.float32(0.5)
        return probability


class OnnxDecoder(_OnnxNetwork):
    """A graph ``latents``, ``log_step`` to float32[1, 3, 8h, 8w], h and w even; see :class:`Decoder`.

    A graph with an input ``conditional_mean`` gets it, and a graph with an input ``grain`` gets
    :func:`grain_noise`.
    """

    def differentiable(self) -> TorchDecoder:
        """See :class:`calotype.models.Differentiable`."""
        from calotype.models.onnx_torch import TorchGraphDecoder

        return TorchGraphDecoder(self._graph, self.margin)

    def decode(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> NDArray[np.float32]:
        height, width = latents.shape[1:]
        inputs = {"latents": latents, "log_step": log_step}
        if "conditional_mean" in self._session.inputs:
            inputs["conditional_mean"] = latents if conditional_mean is None else conditional_mean
        odd = ((0, 0), (0, height % 2), (0, width % 2))
        inputs = {name: np.pad(array, odd, mode="edge") for name, array in inputs.items()}
        if "grain" in self._session.inputs:
            inputs["grain"] = grain_noise(origin, *inputs["latents"].shape[1:])
        return self._session.run(**inputs)[:, : SD1.factor * height, : SD1.factor * width]
