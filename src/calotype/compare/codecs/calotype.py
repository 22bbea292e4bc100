"""Calotype itself, by its target size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import calotype
from calotype.compare.codecs.base import Coded
from calotype.container import EXTENSION
from calotype.errors import TargetSizeError
from calotype.models import encoder_id

__all__ = ["CalotypeCodec"]


class CalotypeCodec:
    """``model`` both encodes and decodes. Raises :class:`ModelError` for a model that there is not."""

    suffix = EXTENSION

    def __init__(self, threads: int | None = None, model: str = "pocket") -> None:
        encoder_id(model)
        self.title = f"Calotype {model}"
        self._codec, self._model = calotype.Codec(threads=threads), model

    def compress(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[Coded]:
        """See :meth:`Codec.compress`."""
        return [self._within(rgb, budget) for budget in budgets]

    def _within(self, rgb: NDArray[np.uint8], budget: int) -> Coded:
        try:
            data, fits = self._codec.encode(rgb, target_size=budget, model=self._model), True
        except TargetSizeError as error:
            data, fits = self._codec.encode(rgb, target_size=error.smallest, model=self._model), False
        picture = self._codec.decode(data, model=self._model)
        return Coded(data, np.asarray(picture.convert("RGB")), fits)
