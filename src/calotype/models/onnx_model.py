"""Embedded networks: ONNX graphs, run by ONNX Runtime, OpenVINO or torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from calotype.latents import SD1
from calotype.models.grain import grain_noise
from calotype.models.onnx_session import OnnxSession
from calotype.models.openvino_session import OpenvinoSession
from calotype.models.places import CPU, Place
from calotype.models.protocol import TorchDecoder

if TYPE_CHECKING:
    from calotype.models.torch_session import TorchSession

__all__ = ["OnnxDecoder", "OnnxEncoder", "OnnxFaceFinder", "TorchOnnxDecoder", "TorchOnnxEncoder"]


class _GraphSession(Protocol):
    """One graph."""

    @property
    def inputs(self) -> frozenset[str]:
        """The names that :meth:`run` takes."""
        ...

    def run(self, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the graph's output for inputs without their first axis (of length 1), from any thread."""
        ...


def _open_session(graph: bytes, threads: int | None, place: Place) -> _GraphSession:
    if place.runtime == "openvino":
        return OpenvinoSession(graph, threads, "bf16" if place.dtype == "bfloat16" else "f32")
    if place.runtime == "torch":
        return _open_torch_session(graph, place)
    return OnnxSession(graph, threads, place.provider, place.number)


def _open_torch_session(graph: bytes, place: Place) -> TorchSession:
    from calotype.models.torch_session import TorchSession

    return TorchSession(graph, place)


class _OnnxNetwork:
    """One graph, and the radius of its receptive field in latents."""

    def __init__(self, graph: bytes, margin: int, threads: int | None = None, place: Place = CPU) -> None:
        self.margin = margin
        self._graph = graph
        self._session = _open_session(graph, threads, place)


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
        inputs = _decoder_inputs(latents, log_step, conditional_mean, self._session.inputs, origin)
        return _without_padding(self._session.run(**inputs), latents)


class TorchOnnxEncoder(OnnxEncoder):
    """An encoder on a GPU; see :class:`BatchEncoder`."""

    def __init__(self, graph: bytes, margin: int, place: Place) -> None:
        self.margin, self._graph = margin, graph
        self._session = self._batches = _open_torch_session(graph, place)

    def encode_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._batches.run_batch(pixels=pixels)


class TorchOnnxDecoder(OnnxDecoder):
    """A decoder on a GPU; see :class:`BatchDecoder`."""

    def __init__(self, graph: bytes, margin: int, place: Place) -> None:
        self.margin, self._graph = margin, graph
        self._session = self._batches = _open_torch_session(graph, place)

    def decode_batch(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> NDArray[np.float32]:
        inputs = _decoder_inputs(latents, log_step, conditional_mean, self._batches.inputs, origin)
        return _without_padding(self._batches.run_batch(**inputs), latents)


def _decoder_inputs(
    latents: NDArray[np.float32],
    log_step: NDArray[np.float32],
    conditional_mean: NDArray[np.float32] | None,
    names: frozenset[str],
    origin: tuple[int, int],
) -> dict[str, NDArray[np.float32]]:
    """Returns those inputs of a decoder's graph that are in ``names``, for latents [..., 4, h, w] at
    ``origin``.

    Sides are made even. Conditional means that are not given are the latents, and the noise is made here.
    """
    likely = latents if conditional_mean is None else conditional_mean
    inputs = {"latents": latents, "log_step": log_step, "conditional_mean": likely}
    height, width = latents.shape[-2:]
    odd = ((0, 0),) * (latents.ndim - 2) + ((0, height % 2), (0, width % 2))
    padded = {name: np.pad(array, odd, mode="edge") for name, array in inputs.items() if name in names}
    if "grain" in names:
        grain = grain_noise(origin, *padded["latents"].shape[-2:])
        padded["grain"] = np.broadcast_to(grain, (*latents.shape[:-3], *grain.shape))
    return padded


def _without_padding(pixels: NDArray[np.float32], latents: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = latents.shape[-2:]
    return pixels[..., : SD1.factor * height, : SD1.factor * width]
