"""The distortion of a decoded picture, differentiable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from calotype.models.onnx_torch import TorchGraph

__all__ = ["distortion_terms"]

_SMALLEST_LPIPS = 32  # pixels on a side
_SCALES = 3  # of contrast and structure: whole, half and quarter size
_WINDOW, _STRIDE = 8, 4
_STABILITY = 0.03**2  # the c2 of SSIM, for values in [0, 1]
_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(
    1, 3, 1, 1
)  # The mean of ImageNet, by which LPIPS normalises.
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def distortion_terms(reference: Tensor, picture: Tensor, lpips: TorchGraph | None = None) -> Tensor:
    """Measures squared error, loss of contrast and structure at three scales and, with its graph, LPIPS.

    ``reference`` and ``picture`` are float32[1, 3, H, W], nominally in [0, 1], with H and W multiples of
    8. The result is float32[4 or 5]; 0 is best. Contrast and structure are the terms of MS-SSIM (Wang,
    Simoncelli and Bovik, 2003). They preserve faint texture, which squared error alone would smooth.
    """
    x, y = reference, picture
    terms = [F.mse_loss(y, x)]
    for scale in range(_SCALES):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        terms.append(1 - _contrast_and_structure(x, y))
    if lpips is not None and min(x.shape[2:]) >= _SMALLEST_LPIPS >> (_SCALES - 1):
        ref, dist = ((p.clamp(0, 1) - _MEAN) / _DEVIATION for p in (reference, picture))
        terms.append(lpips(ref=ref, dist=dist).sum())
    return torch.stack(terms)


def _contrast_and_structure(x: Tensor, y: Tensor) -> Tensor:
    """Returns the mean of the contrast and structure term over all windows and channels; 1 is best."""

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, min(_WINDOW, *x.shape[2:]), _STRIDE)

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    return ((2 * covariance + _STABILITY) / (variances + _STABILITY)).mean()
