"""Embedded networks: ONNX graphs, run by ONNX Runtime, OpenVINO or torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calotype.latents import SD1
from calotype.models.crops import Crop, crop_inputs
from calotype.models.grain import grain_noise
from calotype.models.onnx_session import OnnxSession
from calotype.models.openvino_session import OpenvinoSession
from calotype.models.places import CPU, Place
from calotype.models.protocol import TorchDecoder
from calotype.models.windows import Area, scale_area, shift_area, whole_area

if TYPE_CHECKING:
    from calotype.models.torch_session import TorchSession

__all__ = ["OnnxDecoder", "OnnxEncoder", "OnnxFaceFinder", "TorchOnnxDecoder", "TorchOnnxEncoder"]


class _GraphSession(Protocol):
    """One graph."""

    @property
    def inputs(self) -> frozenset[str]:
        """The names that :meth:`run` takes."""
        ...

    def run(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
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
    :func:`grain_noise`. ``crops`` are those within the graph.
    """

    def __init__(
        self,
        graph: bytes,
        margin: int,
        threads: int | None = None,
        place: Place = CPU,
        crops: tuple[Crop, ...] = (),
    ) -> None:
        super().__init__(graph, margin, threads, place)
        self._crops = crops
        self.last_margin = crops[-1].margin if crops else margin

    def differentiable(self) -> TorchDecoder:
        """See :class:`calotype.models.Differentiable`."""
        from calotype.models.onnx_torch import TorchGraphDecoder

        return TorchGraphDecoder(self._graph, self.margin, self._crops)

    def decode(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> NDArray[np.float32]:
        inputs, shown = self._inputs(latents, log_step, conditional_mean, origin, part)
        return self._session.run(**inputs)[..., *shown]

    def _inputs(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        conditional_mean: NDArray[np.float32] | None,
        origin: tuple[int, int],
        part: Area | None,
    ) -> tuple[dict[str, NDArray[Any]], Area]:
        """Returns the inputs of the graph for latents [..., 4, h, w], and the part of its output to return.

        Sides are made even. Conditional means that are not given are the latents, and the noise is made here.
        """
        names, likely = self._session.inputs, latents if conditional_mean is None else conditional_mean
        given = {"latents": latents, "log_step": log_step, "conditional_mean": likely}
        height, width = latents.shape[-2:]
        batch = latents.shape[:-3]
        odd = ((0, 0),) * (latents.ndim - 2) + ((0, height % 2), (0, width % 2))
        inputs = {name: np.pad(array, odd, mode="edge") for name, array in given.items() if name in names}
        size = height + height % 2, width + width % 2
        wanted = whole_area(height, width) if part is None else part
        for name, bounds in crop_inputs(self._crops, wanted, size).items():
            inputs[name] = bounds.reshape((1,) * len(batch) + bounds.shape)
        areas = {name: crop.area(wanted, size) for crop in self._crops for name in crop.inputs}
        if "grain" in names:
            rows, columns = areas.get("grain", whole_area(*size))
            start = origin[0] + rows.start, origin[1] + columns.start
            grain = grain_noise(start, rows.stop - rows.start, columns.stop - columns.start)
            inputs["grain"] = np.broadcast_to(grain, (*batch, *grain.shape))
        rows, columns = self._crops[-1].area(wanted, size) if self._crops else whole_area(*size)
        return inputs, scale_area(shift_area(wanted, -rows.start, -columns.start), SD1.factor)


class TorchOnnxEncoder(OnnxEncoder):
    """An encoder on a GPU; see :class:`BatchEncoder`."""

    def __init__(self, graph: bytes, margin: int, place: Place) -> None:
        self.margin, self._graph = margin, graph
        self._session = self._batches = _open_torch_session(graph, place)

    def encode_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._batches.run_batch(pixels=pixels)


class TorchOnnxDecoder(OnnxDecoder):
    """A decoder on a GPU; see :class:`BatchDecoder`."""

    def __init__(self, graph: bytes, margin: int, place: Place, crops: tuple[Crop, ...] = ()) -> None:
        self.margin, self._graph, self._crops = margin, graph, crops
        self.last_margin = crops[-1].margin if crops else margin
        self._session = self._batches = _open_torch_session(graph, place)

    def decode_batch(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> NDArray[np.float32]:
        inputs, shown = self._inputs(latents, log_step, conditional_mean, origin, part)
        return self._batches.run_batch(**inputs)[..., *shown]
