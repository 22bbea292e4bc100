"""An integer-valued convolution network, exact on any machine.

Weights are int8, activations integers of at most 8 bits and a sign. Every accumulator is proved, from
the weights themselves, to stay within 2**24 in magnitude: so float32 sums of products are exact in any
order, and a float32 matrix product (BLAS) gives the same integers as int64 arithmetic. A product with a
known answer, taken once, selects int64 on a machine where that does not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = ["IntConv", "Plane", "exact_dtype", "in_strips"]

Plane = NDArray[Any]
"""Integer-valued activations [C, H, W], float32 or int64: the dtype is the one the sums are taken in."""

_EXACT = 1 << 24
_SHIFT = 16
_STRIP_POSITIONS = 65_536  # bounds memory: a strip's activations take some 100 MB
_BLOCK_POSITIONS = 1024  # bounds the columns of one product, so that they stay in the cache


@cache
def exact_dtype() -> type[np.float32] | type[np.int64]:
    """float32 if this machine's matrix product is exact up to 2**24, int64 otherwise."""
    rng = np.random.default_rng(1)
    a = rng.integers(-127, 128, (48, 864))
    b = rng.integers(0, 256, (864, 40))
    a[:, ::2] = np.where(np.abs(a[:, ::2]) < 64, a[:, ::2], 64)
    exact = a @ b
    product = a.astype(np.float32) @ b.astype(np.float32)
    return np.float32 if np.array_equal(product.astype(np.int64), exact) else np.int64


@dataclass(frozen=True)
class IntConv:
    """Same-size convolution: ``clip((sum(w * a) * multiplier + bias) >> 16, low, high)``, zero padded.

    ``weight`` int8[O, I, k, k] with k 1 or 3; ``multiplier`` int64[O], 0 < m < 2**24; ``bias`` int64[O],
    the rounding half included; ``peak`` is the largest magnitude of an input, per input channel int64[I].
    The shift is arithmetic (towards minus infinity). Raises :class:`ModelError` if the bound fails.
    """

    weight: NDArray[np.int8]
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    low: int
    high: int
    peak: NDArray[np.int64]
    _matrix: dict[np.dtype[Any], Plane] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        reach = np.abs(self.weight.astype(np.int64)).sum((2, 3)) @ self.peak
        if int(reach.max()) > _EXACT:
            raise ModelError(f"a context model sum may reach {int(reach.max())}, beyond the exact {_EXACT}")
        bias_in_range = self.bias.min() > -(1 << 48) and self.bias.max() < 1 << 48
        if self.multiplier.min() < 1 or self.multiplier.max() >= 1 << 24 or not bias_in_range:
            raise ModelError("a context model multiplier or bias is out of range")
        matrix = self.weight.transpose(0, 2, 3, 1).reshape(len(self.weight), -1)
        object.__setattr__(self, "_matrix", {np.dtype(t): matrix.astype(t) for t in (np.float32, np.int64)})

    def __call__(self, x: Plane) -> Plane:
        """[I, H, W] to [O, H, W], in the dtype of ``x``."""
        _, height, width = x.shape
        reach = self.weight.shape[-1] // 2
        padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach))) if reach else x
        out = np.empty((len(self.weight), height, width), x.dtype)
        rows = max(1, _BLOCK_POSITIONS // width)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            columns = _columns(padded[:, top : top + count + 2 * reach], reach, width)
            out[:, top : top + count] = self._affine(columns).reshape(-1, count, width)
        return out

    def _affine(self, columns: Plane) -> Plane:
        """[I k k, N] to [O, N]: the sums, scaled, shifted and clipped."""
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


def _columns(padded: Plane, reach: int, width: int) -> Plane:
    """Padded rows [C, H + 2 reach, W + 2 reach] to [taps C, H W]: their shifted copies."""
    if not reach:
        return padded.reshape(len(padded), -1)
    channels, height = len(padded), padded.shape[1] - 2 * reach
    taps = 2 * reach + 1
    out = np.empty((taps * taps, channels, height, width), padded.dtype)
    for tap in range(taps * taps):
        dy, dx = divmod(tap, taps)
        out[tap] = padded[:, dy : dy + height, dx : dx + width]
    return out.reshape(-1, height * width)


def in_strips(net: Callable[[Plane], Plane], x: Plane, halo: int) -> Plane:
    """``net(x)`` in strips of rows, to bound memory; ``halo`` rows are what ``net`` sees beyond a row."""
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
