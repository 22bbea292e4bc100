"""SSIMULACRA2, by the package of that name."""

from __future__ import annotations

import io
import warnings
from importlib import import_module

from PIL import Image

from calotype.compare.metrics.base import Pixels, UnmeasurableError
from calotype.errors import ModelError

__all__ = ["Ssimulacra2"]

_SMALLEST = 8


class Ssimulacra2:
    """SSIMULACRA2: 100 for equal pictures, about 90 for visually lossless, 50 for medium, below 0 for very
    poor ones."""

    title, unit, digits, lower_is_better = "SSIMULACRA2", "", 1, False
    about = "Differences that an observer would notice, 100 at best; it was fitted to far better pictures."

    def __init__(self) -> None:
        try:
            self._compute = import_module("ssimulacra2").compute_ssimulacra2
        except ImportError as error:
            raise ModelError("needs a package: pip install 'calotype[compare]'") from error

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        if min(reference.shape[:2]) < _SMALLEST:
            raise UnmeasurableError(f"needs {_SMALLEST} pixels on each side")
        try:
            with warnings.catch_warnings():
                # The pictures were made here: none is a decompression bomb.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                return float(self._compute(_png_file(reference), _png_file(picture)))
        except Image.DecompressionBombError as error:
            raise UnmeasurableError(
                "cannot measure more pixels than Pillow's MAX_IMAGE_PIXELS allows"
            ) from error


def _png_file(rgb: Pixels) -> io.BytesIO:
    """Returns a picture file in memory, because the package reads files only."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG", compress_level=0)
    file.seek(0)
    return file
