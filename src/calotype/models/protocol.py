"""What a model must offer. Implementations are safe to call from several threads at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

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
    """Pixels to latents of one space."""

    @property
    def margin(self) -> int | None:
        """How far, in latent positions, an output depends on its input: tiles overlap by as much.

        None for a model in which everything depends on everything: it is given whole pictures.
        """
        ...

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """sRGB float32[3, H, W] in [0, 1], H and W multiples of 8, to float32[4, H/8, W/8], scaled."""
        ...


class FaceFinder(Protocol):
    """Latents of one space to where faces are."""

    @property
    def margin(self) -> int:
        """As for :class:`Encoder`; a multiple of 4, as tiles' corners are."""
        ...

    def find(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[4, h, w] to how likely each position is within a face, float32[h, w] from 0 to 1."""
        ...


@dataclass(frozen=True, eq=False)
class DecoderInput:
    """What a :class:`Decoder` is told of a picture: the arguments of its method.

    By ``extension`` positions the outermost latents are repeated on every side before they are decoded, and
    what is shown is cropped: so small pictures do not suffer from the networks' zeros at their borders.
    """

    latents: NDArray[np.float32]
    log_step: NDArray[np.float32]
    noise: NDArray[np.float64]
    conditional_mean: NDArray[np.float32]
    extension: int = 0


class Decoder(Protocol):
    """Reconstruction latents of one space to pixels."""

    @property
    def margin(self) -> int | None:
        """As for :class:`Encoder`."""
        ...

    def decode(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> NDArray[np.float32]:
        """float32[4, h, w] to sRGB float32[3, 8h, 8w], nominally in [0, 1].

        ``log_step`` float32[1, h, w] is log2 of the quantisation step at each position, in scaled-latent
        units; ``noise`` float64[4] the standard deviation of each channel's quantisation error over the whole
        picture; ``conditional_mean`` float32[4, h, w] the mean of what was quantised to these latents, given
        those around them; None means that nothing more is known than ``latents``. ``origin`` is the row and
        column of the first latent in its picture, so that what depends on the position goes on from tile to
        tile.
        """
        ...


@runtime_checkable
class BatchEncoder(Protocol):
    """What an :class:`Encoder` offers besides if several pictures of one size can pass it together."""

    def encode_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[n, 3, H, W] to float32[n, 4, H/8, W/8], each as :meth:`Encoder.encode` has it."""
        ...


@runtime_checkable
class BatchDecoder(Protocol):
    """The same of a :class:`Decoder`."""

    def decode_batch(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """float32[n, 4, h, w], [n, 1, h, w], float64[n, 4] and float32[n, 4, h, w] to [n, 3, 8h, 8w]."""
        ...


class TorchDecoder(Protocol):
    """A decoder within torch, to be differentiated: for latent optimisation."""

    @property
    def margin(self) -> int:
        """As for :class:`Encoder`; a decoder that sees everything states how much of it matters."""
        ...

    @property
    def wants_conditional_mean(self) -> bool:
        """Whether it looks at ``conditional_mean``, which takes a coding pass to know."""
        ...

    def __call__(
        self, latents: Tensor, log_step: Tensor, conditional_mean: Tensor, origin: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """float32[1, 4, h, w], [1, 1, h, w] and [1, 4, h, w], as for :class:`Decoder`, to [1, 3, 8h, 8w]."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """What a :class:`Decoder` offers besides if torch can differentiate it."""

    def differentiable(self) -> TorchDecoder:
        """Raises :class:`ModelError` if torch, or another package that it takes, is missing."""
        ...
