"""An integer-valued convolution network with the same result on every machine.

Weights are int8, and activations are integers of at most 8 bits and a sign. The constructor of a layer checks
that no sum of products can exceed 2**24 in magnitude. Sums in float32 are then exact in any order, so that a
float32 matrix product (BLAS) gives the same integers as int64 arithmetic. A test product, computed once,
selects int64 on a machine whose float32 product is not exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = ["IntConv", "Plane", "evaluate_in_strips", "exact_dtype"]

Plane = NDArray[Any]
"""Integer-valued activations [C, H, W] of dtype float32 or int64, which is also the dtype of the sums."""

_EXACT = 1 << 24
_SHIFT = 16
_STRIP_POSITIONS = 65_536  # The activations of a strip take about 100 MB.
_BLOCK_POSITIONS = 1024  # The columns of one product stay in the processor's cache.


@cache
def exact_dtype() -> type[np.float32] | type[np.int64]:
    """Returns float32 if this machine's matrix product is exact up to 2**24, else int64."""
    rng = np.random.default_rng(1)
    a = rng.integers(-127, 128, (48, 864))
    b = rng.integers(0, 256, (864, 40))
    a[:, ::2] = np.where(np.abs(a[:, ::2]) < 64, a[:, ::2], 64)
    exact = a @ b
    product = a.astype(np.float32) @ b.astype(np.float32)
    return np.float32 if np.array_equal(product.astype(np.int64), exact) else np.int64


@dataclass(frozen=True)
class IntConv:
    """A zero-padded convolution: ``clip((sum(w * a) * multiplier + bias) >> 16, low, high)``.

    ``weight`` is int8[O, I, k, k] with k 1 or 3, ``multiplier`` int64[O] with 0 < m < 2**24, and ``bias``
    int64[O], which includes one half for rounding. ``peak`` int64[I] is the largest magnitude of each input
    channel. The shift rounds towards minus infinity. Raises :class:`ModelError` if a sum could exceed 2**24.
    """

    weight: NDArray[np.int8]
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    low: int
    high: int
    peak: NDArray[np.int64]
    _matrix: dict[np.dtype[Any], Plane] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        largest_sums = np.abs(self.weight.astype(np.int64)).sum((2, 3)) @ self.peak
        if int(largest_sums.max()) > _EXACT:
            raise ModelError(
                f"a context model sum may be {int(largest_sums.max())}, beyond the exact {_EXACT}"
            )
        bias_in_range = self.bias.min() > -(1 << 48) and self.bias.max() < 1 << 48
        if self.multiplier.min() < 1 or self.multiplier.max() >= 1 << 24 or not bias_in_range:
            raise ModelError("a context model multiplier or bias is out of range")
        matrix = self.weight.transpose(0, 2, 3, 1).reshape(len(self.weight), -1)
        object.__setattr__(self, "_matrix", {np.dtype(t): matrix.astype(t) for t in (np.float32, np.int64)})

    def __call__(self, x: Plane) -> Plane:
        """Convolves ``x`` [I, H, W] to [O, H, W] of the same dtype."""
        _, height, width = x.shape
        halo = self.weight.shape[-1] // 2
        padded = np.pad(x, ((0, 0), (halo, halo), (halo, halo))) if halo else x
        out = np.empty((len(self.weight), height, width), x.dtype)
        rows = max(1, _BLOCK_POSITIONS // width)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            columns = _im2col(padded[:, top : top + count + 2 * halo], halo, width)
            out[:, top : top + count] = self._affine(columns).reshape(-1, count, width)
        return out

    def _affine(self, columns: Plane) -> Plane:
        """Returns the sums over ``columns`` [I k k, N], scaled, shifted and clipped, as [O, N]."""
        total: Plane = self._matrix[columns.dtype] @ columns
        if total.dtype == np.int64:
            shifted = (total * self.multiplier[:, None] + self.bias[:, None]) >> _SHIFT
            return shifted.clip(self.low, self.high)
        # |total| <= 2**24, multiplier < 2**24, bias < 2**48: exact in float64.
        real = total * self.multiplier[:, None].astype(np.float64)
        real += self.bias[:, None]
        real *= 2.0**-_SHIFT
        np.floor(real, out=real)
        return real.clip(self.low, self.high, out=real).astype(np.float32)


def _im2col(padded: Plane, halo: int, width: int) -> Plane:
    """Returns the shifted copies [taps C, H W] of ``padded`` [C, H + 2 halo, W + 2 halo] (im2col)."""
    if not halo:
        return padded.reshape(len(padded), -1)
    channels, height = len(padded), padded.shape[1] - 2 * halo
    taps = 2 * halo + 1
    out = np.empty((taps * taps, channels, height, width), padded.dtype)
    for tap in range(taps * taps):
        dy, dx = divmod(tap, taps)
        out[tap] = padded[:, dy : dy + height, dx : dx + width]
    return out.reshape(-1, height * width)


def evaluate_in_strips(net: Callable[[Plane], Plane], x: Plane, halo: int) -> Plane:
    """Computes ``net(x)`` in strips of rows, to bound memory.

    ``halo`` is the number of rows above and below a row on which its output depends.
    """
    height, width = x.shape[1:]
    rows = max(4 * halo, _STRIP_POSITIONS // width)
    if rows >= height:
        return net(x)
    parts = []
    for top in range(0, height, rows):
        first = max(0, top - halo)
        part = net(np.ascontiguousarray(x[:, first : top + rows + halo]))
        parts.append(part[:, top - first : top - first + rows])
    return np.concatenate(parts, axis=1)
