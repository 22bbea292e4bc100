"""The distortion between the original and a decoded picture, as differentiable terms in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from calotype.models import load_differentiable_features
from calotype.models.onnx_torch import TorchGraph

__all__ = ["Distortion", "Reference"]

_ACTIVATIONS = ("/at_half/at_half.2/Add_output_0", "/at_quarter/at_quarter.1/Add_output_0")
"""The encoder's activations whose contrast and structure are compared: at a half and at a quarter of the
resolution, before the blocks that take most of its time."""

_MIN_LPIPS_SIDE = 32
"""The shortest side, in pixels, of a picture for which LPIPS is computed; its network halves the
picture several times."""

_SCALES = 3
"""Number of scales of the contrast and structure terms of pixels: full, half and quarter size."""

_WINDOW, _STRIDE = 8, 4
"""Side and spacing of the windows of the contrast and structure terms, in samples of their scale."""

_STABILITY = 0.03**2
"""The constant c2 of SSIM, for values in [0, 1]."""

_STABILITY_OF_ACTIVATIONS = 0.1
"""The same for activations with a variance of 1 over the picture."""

_MIN_DEVIATION = 1e-4
"""The least deviation by which an activation is divided: in an even picture it is 0."""

_IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_IMAGENET_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@dataclass(frozen=True, eq=False)
class Reference:
    """An original float32[1, 3, H, W] in [0, 1], and what decoded pictures are compared with.

    ``activations`` float32[1, channels, h, w] have mean 0 and variance 1 in each channel; ``means`` and
    ``deviations`` float32[1, channels, 1, 1] are those of before.
    """

    pixels: Tensor
    activations: Sequence[Tensor]
    means: Sequence[Tensor]
    deviations: Sequence[Tensor]


class Distortion:
    """The distortion of decoded pictures, by the embedded encoder's activations among others.

    ``lpips`` is the graph of that metric, if it is part of the distortion.
    """

    def __init__(self, lpips: TorchGraph | None = None) -> None:
        """Raises :class:`ModelError` without torch."""
        self._lpips = lpips
        self._features = load_differentiable_features(_ACTIVATIONS)

    def reference(self, original: Tensor) -> Reference:
        """Returns what pictures are compared with, for float32[1, 3, H, W] in [0, 1]."""
        with torch.no_grad():
            activations = self._features.activations(pixels=original)
        means = [values.mean((2, 3), keepdim=True) for values in activations]
        deviations = [
            (values - mean).square().mean((2, 3), keepdim=True).sqrt().clamp(min=_MIN_DEVIATION)
            for values, mean in zip(activations, means, strict=True)
        ]
        standard = [
            (values - mean) / deviation
            for values, mean, deviation in zip(activations, means, deviations, strict=True)
        ]
        return Reference(original, standard, means, deviations)

    def terms(self, reference: Reference, decoded: Tensor) -> Tensor:
        """Measures the distortion of ``decoded`` by six terms, or seven with LPIPS; 0 is best in each.

        ``decoded`` is float32[1, 3, H, W], nominally in [0, 1]; H and W are multiples of 8. The terms
        float32[n] are the mean squared error; one minus the contrast and structure term of MS-SSIM (Wang,
        Simoncelli and Bovik, 2003) of the pixels at three scales, and of two activations of the encoder; and
        LPIPS, for pictures of at least ``_MIN_LPIPS_SIDE`` pixels on a side. Contrast and structure preserve
        faint texture, which squared error alone would smooth away.
        """
        x, y = reference.pixels, decoded
        terms = [F.mse_loss(y, x)]
        for scale in range(_SCALES):
            if scale:
                x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
            terms.append(1 - _contrast_and_structure(x, y, _STABILITY))
        activations = self._features.activations(pixels=decoded)
        for original, values, mean, deviation in zip(
            reference.activations, activations, reference.means, reference.deviations, strict=True
        ):
            standard = (values - mean) / deviation
            terms.append(1 - _contrast_and_structure(original, standard, _STABILITY_OF_ACTIVATIONS))
        if self._lpips is not None and min(decoded.shape[2:]) >= _MIN_LPIPS_SIDE:
            ref, dist = (_normalised_for_imagenet(picture) for picture in (reference.pixels, decoded))
            terms.append(self._lpips(ref=ref, dist=dist).sum())
        return torch.stack(terms)


def _normalised_for_imagenet(picture: Tensor) -> Tensor:
    return (picture.clamp(0, 1) - _IMAGENET_MEAN) / _IMAGENET_DEVIATION


def _contrast_and_structure(x: Tensor, y: Tensor, stability: float) -> Tensor:
    """Returns the mean of the contrast and structure term over all windows and channels; 1 is best."""

    def window_means(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, min(_WINDOW, *x.shape[2:]), _STRIDE)

    mean_x, mean_y = window_means(x), window_means(y)
    variances = window_means(x * x) - mean_x**2 + window_means(y * y) - mean_y**2
    covariance = window_means(x * y) - mean_x * mean_y
    return ((2 * covariance + stability) / (variances + stability)).mean()
