"""The post-filter: corrects an embedded encoder's decoded latents for the decoders of Stable Diffusion.

An embedded decoder was trained on the latents of its own encoder, as the codec quantises them. A foreign
decoder was not. The post-filter is a network that estimates, from the dequantised latents, their conditional
means and the quantiser's steps, those latents of which the foreign decoder makes the best picture. Its result
takes the place of the conditional means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.models.onnx_session import OnnxSession
from calotype.models.protocol import BatchDecoder, Differentiable, TorchDecoder
from calotype.models.tiling import network_windows
from calotype.models.windows import Area, whole_area

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PostFilter", "PostFilteredDecoder"]

Array = NDArray[np.float32]


class PostFilter:
    """A graph of latents, log_step and conditional_mean to float32[1, 4, h, w], which threads may share."""

    def __init__(self, graph: bytes, margin: int, threads: int | None = None) -> None:
        """``margin`` is the radius of the receptive field in latents. Raises :class:`ModelError`."""
        self._graph, self._margin = graph, margin
        self._session = OnnxSession(graph, threads, name="the post-filter")

    def __call__(self, latents: Array, log_step: Array, conditional_mean: Array) -> Array:
        """Returns corrected conditional means float32[4, h, w], for inputs as those of :class:`Decoder`."""
        height, width = latents.shape[1:]
        corrected = np.empty_like(conditional_mean)
        for window in network_windows((height, width), whole_area(height, width), self._margin):
            planes = {"latents": latents, "log_step": log_step, "conditional_mean": conditional_mean}
            result = self._session.run(**{name: plane[:, *window.read] for name, plane in planes.items()})
            corrected[:, *window.kept] = result[:, *window.inner]
        return corrected

    def differentiable(self, decoder: TorchDecoder) -> TorchDecoder:
        """Returns the filter and ``decoder`` in torch. Raises :class:`ModelError` if torch is missing."""
        return _TorchPostFilteredDecoder(self._graph, self._margin, decoder)


class PostFilteredDecoder:
    """A decoder that gets corrected conditional means; see :class:`BatchDecoder`.

    ``decoder`` has no margin, and therefore gets whole pictures.
    """

    margin = last_margin = None

    def __init__(self, post_filter: PostFilter, decoder: BatchDecoder) -> None:
        self._filter, self._decoder = post_filter, decoder

    def decode(
        self,
        latents: Array,
        log_step: Array,
        noise: NDArray[np.float64],
        conditional_mean: Array | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> Array:
        likely = None if conditional_mean is None else conditional_mean[None]
        pixels: Array = self.decode_batch(latents[None], log_step[None], noise[None], likely, origin, part)[0]
        return pixels

    def decode_batch(
        self,
        latents: Array,
        log_step: Array,
        noise: NDArray[np.float64],
        conditional_mean: Array | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> Array:
        means = latents if conditional_mean is None else conditional_mean
        pictures = zip(latents, log_step, means, strict=True)
        corrected = np.stack([self._filter(*picture) for picture in pictures])
        return self._decoder.decode_batch(latents, log_step, noise, corrected, origin, part)

    def differentiable(self) -> TorchDecoder:
        """See :class:`calotype.models.Differentiable`."""
        if not isinstance(self._decoder, Differentiable):
            raise ModelError("this decoder cannot be differentiated")
        return self._filter.differentiable(self._decoder.differentiable())


class _TorchPostFilteredDecoder:
    """See :class:`calotype.models.TorchDecoder`."""

    wants_conditional_mean = True

    def __init__(self, graph: bytes, margin: int, decoder: TorchDecoder) -> None:
        from calotype.models.onnx_torch import TorchGraph

        self.margin = margin + decoder.margin
        self._filter, self._decoder = TorchGraph(graph).on_cpu(), decoder

    def __call__(
        self, latents: Tensor, log_step: Tensor, conditional_mean: Tensor, origin: tuple[int, int] = (0, 0)
    ) -> Tensor:
        inputs = {"latents": latents, "log_step": log_step, "conditional_mean": conditional_mean}
        return self._decoder(latents, log_step, self._filter(**inputs), origin)
