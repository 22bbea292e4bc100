"""The distortion between the original and a decoded picture, as differentiable terms in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from calotype.models.onnx_torch import TorchGraph

__all__ = ["distortion_terms"]

_MIN_LPIPS_SIDE = 32
"""The shortest side, in pixels, of a picture for which LPIPS is computed; its network halves the
picture several times."""

_SCALES = 3
"""Number of scales of the contrast and structure terms: full, half and quarter size."""

_WINDOW, _STRIDE = 8, 4
"""Side and spacing of the windows of the contrast and structure terms, in pixels of their scale."""

_STABILITY = 0.03**2
"""The constant c2 of SSIM, for values in [0, 1]."""

_IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_IMAGENET_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def distortion_terms(original: Tensor, decoded: Tensor, lpips: TorchGraph | None = None) -> Tensor:
    """Measures the distortion of ``decoded`` by four terms, or five with the graph of LPIPS.

    ``original`` and ``decoded`` are float32[1, 3, H, W], nominally in [0, 1]; H and W are multiples of 8. The
    result is float32[4] or float32[5], and 0 is best in each term: the mean squared error; one minus the
    contrast and structure term of MS-SSIM (Wang, Simoncelli and Bovik, 2003) at three scales; and LPIPS, for
    pictures of at least ``_MIN_LPIPS_SIDE`` pixels on a side. Contrast and structure preserve faint texture,
    which squared error alone would smooth away.
    """
    x, y = original, decoded
    terms = [F.mse_loss(y, x)]
    for scale in range(_SCALES):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        terms.append(1 - _contrast_and_structure(x, y))
    if lpips is not None and min(original.shape[2:]) >= _MIN_LPIPS_SIDE:
        ref, dist = (_normalised_for_imagenet(picture) for picture in (original, decoded))
        terms.append(lpips(ref=ref, dist=dist).sum())
    return torch.stack(terms)


def _normalised_for_imagenet(picture: Tensor) -> Tensor:
    return (picture.clamp(0, 1) - _IMAGENET_MEAN) / _IMAGENET_DEVIATION


def _contrast_and_structure(x: Tensor, y: Tensor) -> Tensor:
    """Returns the mean of the contrast and structure term over all windows and channels; 1 is best."""

    def window_means(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, min(_WINDOW, *x.shape[2:]), _STRIDE)

    mean_x, mean_y = window_means(x), window_means(y)
    variances = window_means(x * x) - mean_x**2 + window_means(y * y) - mean_y**2
    covariance = window_means(x * y) - mean_x * mean_y
    return ((2 * covariance + _STABILITY) / (variances + _STABILITY)).mean()
