"""The interfaces of models. Implementations are safe to call from several threads at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calotype.models.windows import Area

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BatchDecoder",
    "BatchEncoder",
    "Decoder",
    "DecoderInput",
    "Differentiable",
    "Encoder",
    "FaceFinder",
    "TorchDecoder",
]


class Encoder(Protocol):
    """An encoder: pixels to latents of one space."""

    @property
    def margin(self) -> int | None:
        """Returns the radius of the receptive field in latent positions, which is also the overlap of tiles.

        It is None for a model whose outputs depend on the whole input. Such a model is given whole pictures.
        """
        ...

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encodes sRGB float32[3, H, W] in [0, 1], H and W multiples of 8, to latents float32[4, H/8, W/8].

        The latents are multiplied by the space's scaling.
        """
        ...


class FaceFinder(Protocol):
    """A detector of faces in latents of one space."""

    @property
    def margin(self) -> int:
        """Returns the margin as for :class:`Encoder`; it is a multiple of 4, as are the corners of tiles."""
        ...

    def find(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the probability float32[h, w] that each position of float32[4, h, w] is within a face."""
        ...


@dataclass(frozen=True, eq=False)
class DecoderInput:
    """The inputs of a :class:`Decoder` for one picture: the arguments of its method.

    The outermost latents are repeated by ``extension`` positions on every side before they are decoded,
    and the pixels are cropped afterwards. Zeros beyond the borders would distort the colours of small
    pictures. ``part`` are the rows and columns of the latents whose pixels are needed; None means all.
    """

    latents: NDArray[np.float32]
    log_step: NDArray[np.float32]
    noise: NDArray[np.float64]
    conditional_mean: NDArray[np.float32]
    extension: int = 0
    part: Area | None = None


class Decoder(Protocol):
    """A decoder (synthesis transform): latents of one space to pixels."""

    @property
    def margin(self) -> int | None:
        """Returns the margin as for :class:`Encoder`."""
        ...

    @property
    def last_margin(self) -> int | None:
        """Returns by how many latents the largest activations exceed the wanted part, on every side.

        It is at most ``margin``, and None likewise.
        """
        ...

    def decode(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> NDArray[np.float32]:
        """Decodes ``latents`` float32[4, h, w] to sRGB float32[3, 8h, 8w], nominally in [0, 1].

        ``log_step`` float32[1, h, w] is log2 of the quantisation step at each position, in scaled-latent
        units. ``noise`` float64[4] is the standard deviation of each channel's quantisation error over the
        whole picture. ``conditional_mean`` float32[4, h, w] is the conditional mean of the unquantised
        latents; None stands for ``latents``. ``origin`` is the row and column of the first latent in its
        picture, so that inputs which depend on the position are continuous across tiles. ``part`` are the
        rows and columns of the latents whose pixels are returned, without those around them; None means all.
        """
        ...


@runtime_checkable
class BatchEncoder(Encoder, Protocol):
    """An :class:`Encoder` through which several pictures of equal size can pass together."""

    def encode_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encodes float32[n, 3, H, W] to float32[n, 4, H/8, W/8]; see :meth:`Encoder.encode`."""
        ...


@runtime_checkable
class BatchDecoder(Decoder, Protocol):
    """A :class:`Decoder` through which several pictures of equal size can pass together."""

    def decode_batch(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> NDArray[np.float32]:
        """Decodes n pictures, or tiles at one ``origin``, to [n, 3, 8h, 8w]; see :meth:`Decoder.decode`.

        The arguments are float32[n, 4, h, w], float32[n, 1, h, w], float64[n, 4] and float32[n, 4, h, w].
        """
        ...


class TorchDecoder(Protocol):
    """A decoder in torch that can be differentiated, for latent optimisation."""

    @property
    def margin(self) -> int:
        """Returns the margin as for :class:`Encoder`; for an unlimited receptive field it is an effective
        radius."""
        ...

    @property
    def wants_conditional_mean(self) -> bool:
        """Returns whether it uses ``conditional_mean``, which takes a coding pass to compute."""
        ...

    def __call__(
        self, latents: Tensor, log_step: Tensor, conditional_mean: Tensor, origin: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Decodes float32[1, 4, h, w], [1, 1, h, w] and [1, 4, h, w] to [1, 3, 8h, 8w].

        See :meth:`Decoder.decode`.
        """
        ...


@runtime_checkable
class Differentiable(Protocol):
    """A :class:`Decoder` that torch can differentiate."""

    def differentiable(self) -> TorchDecoder:
        """Returns the decoder in torch. Raises :class:`ModelError` if torch or another package is missing."""
        ...
