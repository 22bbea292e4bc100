"""The rate: the bits of quantised latents under the context model, differentiable in torch.

::

    context ─ networks ─ mean, scale of each latent ─┐
    latent ──────────────────────────────────────────┴─ table of bits, interpolated ─ sum

The networks compute the same integers as those of :mod:`calotype.entropy`. Gradients pass their rounding
unchanged (straight-through estimator). A frequency table has an index for sigma and a phase for the position
of the mean within a step, and it has a frequency for each residual. Phase and residual together are the
distance of the integer from the mean. The tables are therefore read as one surface of bits over
(sigma index, distance), which is interpolated bilinearly and so has a gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from calotype.entropy import BASE_SPACING, CONTEXT_PEAK, ContextModel, Site, SiteNet, coding_order
from calotype.entropy.network import IntConv
from calotype.entropy.tables import FREQUENCY_BITS, MAX_RESIDUAL, PHASES, SCALE_ORIGIN, SIGMAS, SYMBOLS
from calotype.latents import CHANNEL_OFFSETS, channel_steps

__all__ = ["DifferentiableRate"]

_LEAK = 0.02
"""The fraction of the gradient that passes a clip, so that a clipped value can return from its bound."""

_FIXED_POINT = 2.0**-16
"""The unit of the multipliers and biases of the integer networks, whose sums are shifted by 16 bits."""

_FEATURE_PEAK, _SCALE_PEAK = 255, 127
"""The largest values of features and of scales (docs/format.md, section 10)."""

_CENTRE_OF_SIGMA_INDEX = 0.25
"""Two scales share a sigma index; the tables with that index stand for the middle between them."""

_INDEX_OF_ZERO_DISTANCE = 16 * MAX_RESIDUAL + 7
"""The index along the surface's second axis at which the distance from the mean is 0."""


class _TorchConv:
    """An :class:`IntConv` in floating point. Its sums are exact integers, and gradients pass the rounding."""

    def __init__(self, layer: IntConv) -> None:
        self._weight = torch.from_numpy(layer.weight.astype(np.float32))
        self._scale = torch.from_numpy((layer.multiplier * _FIXED_POINT).astype(np.float32)).view(1, -1, 1, 1)
        self._bias = torch.from_numpy((layer.bias * _FIXED_POINT).astype(np.float32)).view(1, -1, 1, 1)
        self._low, self._high = layer.low, layer.high

    def __call__(self, x: Tensor) -> Tensor:
        total = F.conv2d(x, self._weight, padding=self._weight.shape[-1] // 2)
        return _floor_with_gradient(total * self._scale + self._bias, self._low, self._high)


class _TorchSiteNet:
    """A :class:`SiteNet`, the networks for one subset of the positions, in floating point."""

    def __init__(self, net: SiteNet) -> None:
        self._enter = _TorchConv(net.enter)
        self._residual_blocks = [
            (_TorchConv(first), _TorchConv(second)) for first, second in net.residual_blocks
        ]
        self._heads = [[_TorchConv(layer) for layer in head] for head in net.heads]

    def predict(self, planes: Tensor, site_latents: Tensor) -> Tensor:
        """Predicts (mean, scale) of every channel, float32[4, 2, H, W].

        ``planes`` float32[1, I, H, W] are the latents of the sites that were coded before, the level, and
        the mask of positions within the picture. ``site_latents`` float32[1, 4, H, W] are the latents of
        this site, of which a channel sees the channels before it.
        """
        features = self._enter(planes)
        for first, second in self._residual_blocks:
            features = (features + second(first(features))).clamp(0, _FEATURE_PEAK)
        predictions = []
        for channel, (first, second, last) in enumerate(self._heads):
            inputs = torch.cat([features, site_latents[:, :channel]], 1)
            predictions.append(last(second(first(inputs))))
        return torch.cat(predictions)


class DifferentiableRate:
    """The code length of quantised latents at given levels, under one context model."""

    def __init__(self, model: ContextModel, levels: NDArray[np.int64]) -> None:
        """``levels`` int64[h, w], 0 to 127."""
        self._sites: list[tuple[_TorchSiteNet, Site]] = [
            (_TorchSiteNet(site.network), site) for site in coding_order(model)
        ]
        guide = np.clip(2 * (levels - 64), -CONTEXT_PEAK, CONTEXT_PEAK).astype(np.float32)
        self._guide = torch.from_numpy(guide)[None]
        self._steps = torch.from_numpy(channel_steps(levels).astype(np.float32))
        self._levels = torch.tensor(CHANNEL_OFFSETS).view(-1, 1, 1) + torch.from_numpy(levels)
        # The distance of residual r under a phase is 16 r + 8 - phase sixteenths of a step. Each pair of them
        # has an index of its own along the surface's second axis. Escapes have none.
        frequencies = model.tables.frequencies.reshape(SIGMAS, PHASES, SYMBOLS)[
            :, ::-1, : 2 * MAX_RESIDUAL + 1
        ]
        bits = FREQUENCY_BITS - np.log2(frequencies.transpose(0, 2, 1).reshape(SIGMAS, -1))
        self._bits_surface = torch.from_numpy(bits.astype(np.float32))

    def __call__(self, latents: Tensor) -> Tensor:
        """Returns the bits that code dequantised latents float32[4, h, w], a scalar."""
        height, width = latents.shape[1:]
        margin = (0, -width % BASE_SPACING, 0, -height % BASE_SPACING)
        context = F.pad(_floor_with_gradient(latents * 16 + 0.5, -CONTEXT_PEAK, CONTEXT_PEAK), margin)[None]
        exists = F.pad(torch.ones(1, height, width), margin)[None]
        guide = torch.cat([F.pad(self._guide, margin)[None], exists * CONTEXT_PEAK], 1)
        total = torch.zeros(())
        for network, (_, stride, (y, x), context_offsets) in self._sites:
            positions = (..., slice(y, None, stride), slice(x, None, stride))
            values = latents[positions]
            if not values.numel():
                continue
            planes = [context[..., dy::stride, dx::stride] for dy, dx in context_offsets]
            predicted = network.predict(torch.cat([*planes, guide[positions]], 1), context[positions])
            mean, scale = predicted[:, :, : values.shape[1], : values.shape[2]].unbind(1)
            total = total + self._bits(positions, values, mean / 256, scale.clamp(0, _SCALE_PEAK)).sum()
        return total

    def _bits(self, positions: tuple[Any, ...], values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """Returns the bits of the latents ``values`` at ``positions``; all tensors are float32[4, H, W]."""
        sigma_index = (scale - self._levels[positions] + SCALE_ORIGIN) / 2
        # Where sigma is large, the low bits of the integer are bypass bits: each costs one bit.
        low_bits = torch.floor((sigma_index.detach() - (SIGMAS - 1) + 7) / 8).clamp(min=0)
        distance = 16 * (values - mean) / self._steps[positions] * torch.exp2(-low_bits)
        # Beyond the largest residual an escape takes about a bit for each step.
        escape = F.relu(distance.abs() - 16 * MAX_RESIDUAL) / 16
        modelled = self._interpolated_bits(
            sigma_index - 8 * low_bits - _CENTRE_OF_SIGMA_INDEX, distance + _INDEX_OF_ZERO_DISTANCE
        )
        return modelled + escape + low_bits

    def _interpolated_bits(self, row: Tensor, column: Tensor) -> Tensor:
        """Interpolates the surface bilinearly at a (sigma index) ``row`` and a (distance) ``column``.

        Beyond its edges the surface continues with the values at the edges.
        """
        height, width = self._bits_surface.shape
        row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        whole_row = row.detach().floor().clamp(max=height - 2)
        whole_column = column.detach().floor().clamp(max=width - 2)
        row_fraction, column_fraction = row - whole_row, column - whole_column
        index = (whole_row * width + whole_column).long()
        bits = self._bits_surface.view(-1)
        in_row = torch.lerp(bits[index], bits[index + 1], column_fraction)
        in_next_row = torch.lerp(bits[index + width], bits[index + width + 1], column_fraction)
        return torch.lerp(in_row, in_next_row, row_fraction)


def _floor_with_gradient(x: Tensor, low: int, high: int) -> Tensor:
    """Rounds ``x`` down and clips it.

    The gradient is 1 within the bounds and ``_LEAK`` beyond them.
    """
    clipped = x.clamp(low, high)
    through = clipped + _LEAK * (x - clipped)
    return through + (torch.floor(x).clamp(low, high) - through).detach()
