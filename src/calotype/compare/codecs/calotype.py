"""Calotype itself, by its target size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import calotype
from calotype.compare.codecs.base import Coded
from calotype.container import EXTENSION
from calotype.errors import TargetSizeError
from calotype.limits import ANY_SIZE
from calotype.models import model_id
from calotype.options import DecodeOptions, DiffusionOptions, EncodeOptions

__all__ = ["CalotypeCodec"]


class CalotypeCodec:
    """Calotype with one model, which encodes and decodes. Raises :class:`ModelError` for an unknown model."""

    suffix = EXTENSION

    def __init__(
        self, threads: int | None = None, model: str = "pocket", diffusion: DiffusionOptions | None = None
    ) -> None:
        model_id(model)
        self.title = f"Calotype {model}"
        self._codec, diffusion = calotype.Codec(threads=threads), diffusion or DiffusionOptions()
        self._encoding = EncodeOptions(model=model, diffusion=diffusion, limits=ANY_SIZE)
        self._decoding = DecodeOptions(model=model, diffusion=diffusion, limits=ANY_SIZE)

    def compress(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[Coded]:
        """See :meth:`Codec.compress`."""
        return [self._within(rgb, budget) for budget in budgets]

    def _within(self, rgb: NDArray[np.uint8], budget: int) -> Coded:
        try:
            data, fits = self._codec.encode(rgb, self._encoding, target_size=budget), True
        except TargetSizeError as error:
            data, fits = self._codec.encode(rgb, self._encoding, target_size=error.smallest), False
        picture = self._codec.decode(data, self._decoding)
        return Coded(data, np.asarray(picture.convert("RGB")), fits)
