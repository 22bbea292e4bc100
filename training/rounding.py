"""How weights are rounded to 8 bits when a network is exported, for training that takes it into account."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1024
"""Weights of fewer elements are not worth the error of 8 bits."""

LARGE = 1 << 17
"""Elements of a convolution's weights from which on the step may be coarse: these are most of the bytes."""

COARSE = {"decoder": 8.0}
"""Steps to the standard deviation of an output channel, for the large convolutions of a part.

The integers then have an entropy of about 5 bits instead of 7.6, so that a web page loads less.
"""


def weight_scale(weight: Tensor, steps_per_deviation: float | None = None) -> Tensor:
    """The step float32[O, 1, 1, 1] of the weights float32[O, I, h, w], for integers of -127 to 127."""
    scale = weight.abs().amax((1, 2, 3), keepdim=True) / 127
    if steps_per_deviation is not None and weight.numel() >= LARGE:
        deviation = weight.square().mean((1, 2, 3), keepdim=True).sqrt()
        scale = torch.maximum(scale, deviation / steps_per_deviation)
    return scale.clamp(min=1e-12)


def rounded_weights(net: nn.Module, part: str) -> dict[str, Tensor]:
    """The parameters of ``net`` as they are exported; gradients pass straight through the rounding."""
    parameters = {}
    for name, value in net.named_parameters():
        if value.ndim == 4 and value.numel() >= SMALLEST:
            exact = value.detach()
            scale = weight_scale(exact, COARSE.get(part))
            value = value + ((exact / scale).round() * scale - exact)
        parameters[name] = value
    return parameters
