"""How far a picture is from what it should be, differentiably."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from calotype.models.onnx_torch import TorchGraph

__all__ = ["measures"]

_SMALLEST_LPIPS = 32  # pixels on a side
_SCALES = 3  # of gradients: whole, half and quarter size
_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)  # of ImageNet, which LPIPS expects removed
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def measures(reference: Tensor, picture: Tensor, lpips: TorchGraph | None = None) -> Tensor:
    """Squared error, that of the gradients at three scales and, with its graph, LPIPS: float32[4 or 5].

    Two float32[1, 3, H, W], nominally in [0, 1], H and W multiples of 8.
    """
    x, y = reference, picture
    found = [F.mse_loss(y, x)]
    for scale in range(_SCALES):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        found.append(sum(F.mse_loss(y.diff(dim=axis), x.diff(dim=axis)) for axis in (2, 3)))
    if lpips is not None and min(x.shape[2:]) >= _SMALLEST_LPIPS >> (_SCALES - 1):
        ref, dist = ((p.clamp(0, 1) - _MEAN) / _DEVIATION for p in (reference, picture))
        found.append(lpips(ref=ref, dist=dist).sum())
    return torch.stack(found)
