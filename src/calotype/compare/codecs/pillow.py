"""The formats that Pillow writes. They have no target size: each gets the largest quality that fits."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.compare.codecs.base import Coded, UncodableError, decode_with_pillow, largest_file_within
from calotype.errors import LimitError, ModelError, SourceError

__all__ = ["PillowCodec"]


@dataclass(frozen=True)
class PillowCodec:
    """A format with a quality from ``lowest`` to ``highest``, written with ``settings``.

    ``fineness`` is the number of steps in one point of quality: 1 if the encoder takes integers only.
    ``plugin`` names the module that adds the format to Pillow, if it is not one of Pillow's own.
    Raises :class:`ModelError` if Pillow cannot write the format here.
    """

    title: str
    suffix: str
    format: str
    media_type: str
    settings: Mapping[str, Any]
    lowest: int = 0
    highest: int = 100
    plugin: str | None = None
    fineness: int = 1

    def __post_init__(self) -> None:
        try:
            if self.plugin is not None:
                import_module(self.plugin)
        except ImportError as error:
            raise ModelError(f"{self.title} needs more packages: pip install 'calotype[compare]'") from error
        Image.init()
        if self.format not in Image.SAVE:
            raise ModelError(f"this build of Pillow does not write {self.title}")

    def encode(self, rgb: NDArray[np.uint8], quality: float) -> bytes:
        """Returns the whole file of uint8[H, W, 3] at ``quality``.

        Raises :class:`UncodableError` if the format cannot hold the picture, mostly because of its size.
        """
        file = io.BytesIO()
        try:
            Image.fromarray(rgb).save(file, self.format, quality=quality, **self.settings)
        except MemoryError:
            raise
        except Exception as error:  # Pillow's writers and their libraries raise exceptions of many types.
            size = f"{rgb.shape[1]}x{rgb.shape[0]} pixels"
            raise UncodableError(f"{self.title} cannot write a picture of {size}: {error}") from error
        return file.getvalue()

    def within(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[tuple[bytes, bool]]:
        """Returns for each budget the largest file that fits, or the smallest file and False."""
        fine = self.fineness
        encode = cache(lambda setting: self.encode(rgb, setting if fine == 1 else setting / fine))
        return [
            largest_file_within(encode, budget, self.lowest * fine, self.highest * fine) for budget in budgets
        ]

    def compress(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[Coded]:
        """See :meth:`Codec.compress`."""
        files = self.within(rgb, budgets)
        try:
            return [Coded(data, decode_with_pillow(data), fits) for data, fits in files]
        except (SourceError, LimitError) as error:  # Pillow reads no WebP file above MAX_IMAGE_PIXELS.
            raise UncodableError(f"{self.title} cannot decode its own file: {error}") from error
