"""Multi-scale structural similarity (MS-SSIM), computed with the SSIM of scikit-image.

Source: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", 2003:
11-tap Gaussian window (sigma 1.5, no padding), five scales, K = 0.01 and 0.03. Like pytorch-msssim, with
which it agrees to six decimals where no scale has an odd side, it treats R, G and B alike and takes a
negative contrast term as 0.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from calotype.compare.metrics.base import Pixels, UnmeasurableError
from calotype.errors import ModelError

__all__ = ["MsSsim"]

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST = 176  # The shortest side whose fifth scale is as large as the window.
_NO_LUMINANCE = 1e6  # With so large a K1 the luminance term of SSIM is 1; contrast and structure remain.


class MsSsim:
    """MS-SSIM, 0 to 1: the mean of the three channels."""

    title, unit, digits, lower_is_better = "MS-SSIM", "", 4, False
    about = "Multi-scale structural similarity: fidelity of edges and contrast, 1 at best."

    def __init__(self) -> None:
        try:
            ssim = import_module("skimage.metrics").structural_similarity
        except ImportError as error:
            raise ModelError("needs a package: pip install 'calotype[compare]'") from error
        self._ssim = partial(
            ssim, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        if min(reference.shape[:2]) < _SMALLEST:
            raise UnmeasurableError(f"needs {_SMALLEST} pixels on each side")
        return float(np.mean([self._of_channel(reference[..., c], picture[..., c]) for c in range(3)]))

    def _of_channel(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
        x, y = reference.astype(np.float64), picture.astype(np.float64)
        product = 1.0
        for scale, weight in enumerate(_SCALE_WEIGHTS):
            if scale:
                x, y = _halve(x), _halve(y)
            k1 = 0.01 if scale == len(_SCALE_WEIGHTS) - 1 else _NO_LUMINANCE
            product *= max(self._ssim(x, y, K1=k1), 0.0) ** weight
        return product


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the means of 2x2 values of float64[H, W]; an odd last row or column is dropped."""
    height, width = x.shape[0] // 2, x.shape[1] // 2
    blocks = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return np.asarray(blocks.mean(axis=(1, 3)))
