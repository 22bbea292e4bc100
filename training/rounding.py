"""The rounding of weights to 8 bits at export, for training that takes it into account."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1024
"""The least number of elements of a tensor that is rounded: for smaller ones the error costs more than the
bytes."""

COARSE = {"decoder": ((1 << 17, 8.0), (1 << 16, 16.0))}
"""By part: numbers of elements from which on the weights of a convolution have coarse steps, and the number
of steps in a standard deviation of the weights of an output channel.

With 8 steps the integers have an entropy of about 5 bits, with 16 steps of 6, and otherwise of 7.6. Most
weights are in the large convolutions, so that coarse steps reduce the bytes that a web page loads.
"""


def weight_scale(weight: Tensor, part: str) -> Tensor:
    """Returns the step float32[O, 1, 1, 1] of weights float32[O, I, h, w], for integers from -127 to 127."""
    scale = weight.abs().amax((1, 2, 3), keepdim=True) / 127
    for elements, steps in COARSE.get(part, ()):
        if weight.numel() >= elements:
            deviation = weight.square().mean((1, 2, 3), keepdim=True).sqrt()
            scale = torch.maximum(scale, deviation / steps)
            break
    return scale.clamp(min=1e-12)


def rounded_weights(net: nn.Module, part: str) -> dict[str, Tensor]:
    """Returns the parameters of ``net`` as they are exported; gradients pass straight through the
    rounding.
    """
    parameters = {}
    for name, value in net.named_parameters():
        if value.ndim == 4 and value.numel() >= SMALLEST:
            exact = value.detach()
            scale = weight_scale(exact, part)
            value = value + ((exact / scale).round() * scale - exact)
        parameters[name] = value
    return parameters
