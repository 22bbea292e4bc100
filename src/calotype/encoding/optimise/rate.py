"""The rate of latents, differentiable: the shipped context model and its tables, evaluated in torch.

The networks give the same values as those of :mod:`calotype.entropy`; gradients pass their rounding unchanged
(straight-through estimator). The tables are interpolated as one surface: bits as a function of
log2(sigma / step) and of the distance from the mean in sixteenths of a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from calotype.entropy import BLOCK, CONTEXT_PEAK, ContextModel, SiteNet, coding_order
from calotype.entropy.network import IntConv
from calotype.entropy.tables import FREQUENCY_BITS, MAX_RESIDUAL, PHASES, ROWS, SCALE_ORIGIN, SYMBOLS
from calotype.latents import CHANNEL_OFFSETS, channel_steps

__all__ = ["DifferentiableRate"]

_LEAK = 0.02  # Share of the gradient that passes a clip, so that a clipped value can leave its bound.
_SHIFT = 2.0**-16
_FEATURE_PEAK, _SCALE_PEAK = 255, 127
_NEAREST_ROW = 0.25  # The middle of the two scales that share a row, in rows.
_COLUMN_OF_ZERO = 16 * MAX_RESIDUAL + 7  # The column of distance 0.


class _TorchConv:
    """An :class:`IntConv` in floating point. Its sums are exact, and gradients pass the rounding."""

    def __init__(self, layer: IntConv) -> None:
        self._weight = torch.from_numpy(layer.weight.astype(np.float32))
        self._scale = torch.from_numpy((layer.multiplier * _SHIFT).astype(np.float32)).view(1, -1, 1, 1)
        self._bias = torch.from_numpy((layer.bias * _SHIFT).astype(np.float32)).view(1, -1, 1, 1)
        self._low, self._high = layer.low, layer.high

    def __call__(self, x: Tensor) -> Tensor:
        total = F.conv2d(x, self._weight, padding=self._weight.shape[-1] // 2)
        return _floor_with_gradient(total * self._scale + self._bias, self._low, self._high)


class _TorchSiteNet:
    """A :class:`SiteNet` in floating point."""

    def __init__(self, net: SiteNet) -> None:
        self._enter = _TorchConv(net.enter)
        self._pairs = [(_TorchConv(first), _TorchConv(second)) for first, second in net.pairs]
        self._heads = [[_TorchConv(layer) for layer in head] for head in net.heads]

    def predict(self, planes: Tensor, site_latents: Tensor) -> Tensor:
        """Predicts (mean, scale) of every channel, float32[4, 2, H, W].

        ``planes`` float32[1, I, H, W] are the known sites; ``site_latents`` float32[1, 4, H, W] the
        latents of this site.
        """
        x = self._enter(planes)
        for first, second in self._pairs:
            x = (x + second(first(x))).clamp(0, _FEATURE_PEAK)
        out = []
        for channel, (first, second, last) in enumerate(self._heads):
            out.append(last(second(first(torch.cat([x, site_latents[:, :channel]], 1)))))
        return torch.cat(out)


class DifferentiableRate:
    """The code length of quantised latents at given levels, under one context model."""

    def __init__(self, model: ContextModel, levels: NDArray[np.int64]) -> None:
        """``levels`` int64[h, w], 0 to 127."""
        self._sites = [
            (_TorchSiteNet(net), stride, site, known) for net, stride, site, known in coding_order(model)
        ]
        guide = np.clip(2 * (levels - 64), -CONTEXT_PEAK, CONTEXT_PEAK).astype(np.float32)
        self._guide = torch.from_numpy(guide)[None]
        self._steps = torch.from_numpy(channel_steps(levels).astype(np.float32))
        self._levels = torch.tensor(CHANNEL_OFFSETS).view(-1, 1, 1) + torch.from_numpy(levels)
        # Column 16 r + 8 - phase + 327 holds residual r under that phase; this is a bijection.
        frequencies = model.tables.frequencies.reshape(ROWS, PHASES, SYMBOLS)[:, ::-1, : 2 * MAX_RESIDUAL + 1]
        bits = FREQUENCY_BITS - np.log2(frequencies.transpose(0, 2, 1).reshape(ROWS, -1))
        self._bits = torch.from_numpy(bits.astype(np.float32))

    def __call__(self, latents: Tensor) -> Tensor:
        """Returns the bits that code dequantised latents float32[4, h, w], a scalar."""
        height, width = latents.shape[1:]
        margin = (0, -width % BLOCK, 0, -height % BLOCK)
        context = F.pad(_floor_with_gradient(latents * 16 + 0.5, -CONTEXT_PEAK, CONTEXT_PEAK), margin)[None]
        exists = F.pad(torch.ones(1, height, width), margin)[None]
        guide = torch.cat([F.pad(self._guide, margin)[None], exists * CONTEXT_PEAK], 1)
        total = torch.zeros(())
        for net, stride, (y, x), known in self._sites:
            site = (..., slice(y, None, stride), slice(x, None, stride))
            values = latents[site]
            if not values.numel():
                continue
            planes = [context[..., dy::stride, dx::stride] for dy, dx in known]
            out = net.predict(torch.cat([*planes, guide[site]], 1), context[site])
            mean, scale = out[:, :, : values.shape[1], : values.shape[2]].unbind(1)
            total = total + self._cost(site, values, mean / 256, scale.clamp(0, _SCALE_PEAK)).sum()
        return total

    def _cost(self, site: tuple[Any, ...], values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        row = (scale - self._levels[site] + SCALE_ORIGIN) / 2
        fine = torch.floor((row.detach() - (ROWS - 1) + 7) / 8).clamp(min=0)
        distance = 16 * (values - mean) / self._steps[site] * torch.exp2(-fine)
        beyond = F.relu(distance.abs() - 16 * MAX_RESIDUAL) / 16  # An escape takes about a bit for each step.
        return self._surface(row - 8 * fine - _NEAREST_ROW, distance + _COLUMN_OF_ZERO) + beyond + fine

    def _surface(self, row: Tensor, column: Tensor) -> Tensor:
        """Interpolates the table of bits bilinearly; beyond its edges the value at the edge holds."""
        rows, columns = self._bits.shape
        r, c = row.clamp(0, rows - 1), column.clamp(0, columns - 1)
        r0, c0 = r.detach().floor().clamp(max=rows - 2), c.detach().floor().clamp(max=columns - 2)
        r, c = r - r0, c - c0
        index = (r0 * columns + c0).long()
        flat = self._bits.view(-1)
        upper_row = (1 - c) * flat[index] + c * flat[index + 1]
        lower_row = (1 - c) * flat[index + columns] + c * flat[index + columns + 1]
        return (1 - r) * upper_row + r * lower_row


def _floor_with_gradient(x: Tensor, low: int, high: int) -> Tensor:
    """Rounds down and clips; the gradient is that of the clip, with ``_LEAK`` of it beyond the bounds."""
    clipped = x.clamp(low, high)
    through = clipped + _LEAK * (x - clipped)
    return through + (torch.floor(x).clamp(low, high) - through).detach()
