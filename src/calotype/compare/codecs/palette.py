"""The palette coding of September 2022, on the latents of one of this package's models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import calotype
from calotype.compare.codecs.base import Coded
from calotype.container import EXTENSION
from calotype.limits import ANY_SIZE
from calotype.models import model_id
from calotype.options import DecodeOptions, DiffusionOptions, EncodeOptions

__all__ = ["PaletteCodec"]


class PaletteCodec:
    """256 colours of four-channel latents, dithered, and zlib. Its one size does not depend on the budget."""

    title = "2022 recipe"
    suffix = EXTENSION

    def __init__(
        self, threads: int | None = None, model: str = "pocket", diffusion: DiffusionOptions | None = None
    ) -> None:
        model_id(model)
        self._codec, diffusion = calotype.Codec(threads=threads), diffusion or DiffusionOptions()
        self._encoding = EncodeOptions(model=model, recipe="palette", diffusion=diffusion, limits=ANY_SIZE)
        self._decoding = DecodeOptions(model=model, diffusion=diffusion, limits=ANY_SIZE)

    def compress(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[Coded]:
        """See :meth:`Codec.compress`."""
        data = self._codec.encode(rgb, self._encoding)
        picture = np.asarray(self._codec.decode(data, self._decoding).convert("RGB"))
        return [Coded(data, picture, len(data) <= budget) for budget in budgets]
