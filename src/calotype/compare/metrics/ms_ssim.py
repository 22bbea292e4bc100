"""Multi-scale structural similarity, in numpy: the libraries that get it right need torch.

Source: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", 2003:
11-tap Gaussian window (sigma 1.5, no padding), five scales, K = 0.01 and 0.03. Like pytorch-msssim, with
which it agrees to six decimals where no scale has an odd side, it treats R, G and B alike and takes a
negative contrast term as 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.compare.metrics.base import Pixels, UnmeasurableError

__all__ = ["MsSsim"]

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST = 176  # a side whose fifth scale still holds the window
_WINDOW = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
_WINDOW /= _WINDOW.sum()


class MsSsim:
    """0 to 1, the mean of the three channels."""

    title, unit, digits, lower_is_better = "MS-SSIM", "", 4, False
    about = "Multi-scale structural similarity: fidelity of edges and contrast, 1 at best."

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        if min(reference.shape[:2]) < _SMALLEST:
            raise UnmeasurableError(f"needs {_SMALLEST} pixels on each side")
        x, y = (a.transpose(2, 0, 1).astype(np.float64) for a in (reference, picture))
        product = np.ones(3)
        for scale, weight in enumerate(_SCALE_WEIGHTS):
            if scale:
                x, y = _halve(x), _halve(y)
            similarity, contrast = _ssim(x, y)
            last = scale == len(_SCALE_WEIGHTS) - 1
            product *= np.maximum(similarity if last else contrast, 0) ** weight
        return float(product.mean())


def _ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """SSIM and its contrast-structure term, float64[3] each, of two float64[3, H, W]."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x**2 + _blur(y * y) - mean_y**2
    contrast = (2 * (_blur(x * y) - mean_x * mean_y) + c2) / (variances + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * contrast).mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian window over float64[3, H, W], without padding: float64[3, H - 10, W - 10]."""
    height, width = x.shape[1] - 10, x.shape[2] - 10
    rows, blurred = np.zeros((3, height, x.shape[2])), np.zeros((3, height, width))
    for i, weight in enumerate(_WINDOW):
        rows += weight * x[:, i : i + height]
    for i, weight in enumerate(_WINDOW):
        blurred += weight * rows[:, :, i : i + width]
    return blurred


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2x2 of float64[3, H, W]; an odd last row or column is dropped."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    blocks = x[:, :height, :width].reshape(3, height // 2, 2, width // 2, 2)
    return np.asarray(blocks.mean(axis=(2, 4)))
