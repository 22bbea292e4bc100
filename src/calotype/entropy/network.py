"""An integer-valued convolution network with the same result on every machine.

Weights are int8, and activations are integers of at most 8 bits, some with a sign. The constructor of a layer
checks that no sum of products of these values can exceed 2**24 in magnitude, so that float32 is exact too.
The stored values have a zero point of 128: their sums stay below 2**25. A matrix product is then exact in
int32 and in float64, in any order of the sums. Layers take it as an argument: :func:`reference_product` runs
everywhere, and the product of the processor's 8-bit instructions is several times faster
(``calotype.models``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError

__all__ = ["SIGN", "IntConv", "Plane", "Product", "reference_product"]

Plane = NDArray[np.uint8]
"""Activations uint8[H, W, C]. Those with a sign, -127..127, are stored with :data:`SIGN` added."""

Product = Callable[[NDArray[np.uint8], NDArray[np.int8]], NDArray[Any]]
"""The exact matrix product of uint8[N, K] and int8[K, O], as int32 or float64[N, O]."""

SIGN = 128

_MAX_EXACT_SUM = 1 << 24
"""The largest magnitude of a sum of products; float32 holds every integer up to it exactly."""

_SHIFT = 16
_UNSIGNED_PEAK, _SIGNED_PEAK = 255, 127

_POSITIONS_PER_PRODUCT = 512
"""About the number of positions in one matrix product, so that its operands stay in the processor's cache."""


def reference_product(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float64]:
    """Multiplies in float64, which is exact on every machine: all sums are integers below 2**53."""
    product: NDArray[np.float64] = columns.astype(np.float64) @ weight.astype(np.float64)
    return product


@dataclass(frozen=True)
class IntConv:
    """A zero-padded convolution: ``clip((sum(w * a) * multiplier + bias) >> 16, low, high)``.

    ``weight`` is int8[O, I, k, k] with k 1 or 3, ``multiplier`` int64[O] with 0 < m < 2**24, and ``bias``
    int64[O], which includes one half for rounding. The last ``signed`` inputs are -127..127, the others
    0..255. The shift rounds towards minus infinity. Raises :class:`ModelError` if a sum could exceed 2**24.
    """

    weight: NDArray[np.int8]
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    low: int
    high: int
    signed: int = 0
    _matrix: NDArray[np.int8] = field(init=False, repr=False, compare=False)
    _multiplier: NDArray[Any] = field(init=False, repr=False, compare=False)
    _constant: NDArray[Any] = field(init=False, repr=False, compare=False)
    _zero: NDArray[np.uint8] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        outputs, inputs = self.weight.shape[:2]
        signed = np.arange(inputs) >= inputs - self.signed
        magnitude = np.abs(self.weight.astype(np.int64)).sum((2, 3))
        largest_sum = int((magnitude @ np.where(signed, _SIGNED_PEAK, _UNSIGNED_PEAK)).max())
        if largest_sum > _MAX_EXACT_SUM:
            raise ModelError(f"a context model sum may reach {largest_sum}, beyond {_MAX_EXACT_SUM}")
        bias_in_range = self.bias.min() > -(1 << 48) and self.bias.max() < 1 << 48
        if self.multiplier.min() < 1 or self.multiplier.max() >= 1 << 24 or not bias_in_range:
            raise ModelError("a context model multiplier or bias is out of range")
        # Stored values are 128 too large where they have a sign. The constant corrects the sums for it.
        zero = np.where(signed, SIGN, 0)
        constant = self.bias - self.multiplier * (self.weight.sum((2, 3), dtype=np.int64) @ zero)
        largest_products = magnitude.sum(1) * _UNSIGNED_PEAK * self.multiplier + np.abs(constant)
        dtype = np.int32 if largest_products.max() < 1 << 31 else np.int64
        matrix = self.weight.transpose(2, 3, 1, 0).reshape(-1, outputs)
        object.__setattr__(self, "_matrix", np.ascontiguousarray(matrix))
        object.__setattr__(self, "_multiplier", self.multiplier.astype(dtype))
        object.__setattr__(self, "_constant", constant.astype(dtype))
        object.__setattr__(self, "_zero", zero.astype(np.uint8))

    def __call__(self, x: Plane, product: Product, added: Plane | None = None) -> NDArray[Any]:
        """Convolves ``x`` uint8[H, W, I] to [H, W, O]: uint8 where ``low`` is 0, otherwise int16.

        ``added`` uint8[H, W, O] is added to the output, which is then clipped to 0..255 and uint8. The bounds
        of the layer must be -255 and 255 then.
        """
        low = 0 if added is not None else self.low
        out = np.empty((*x.shape[:2], len(self.weight)), np.int16 if low else np.uint8)
        for rows, sums in self._sums(x, product):
            outputs = out[rows]
            values = sums.astype(self._multiplier.dtype, copy=False).reshape(outputs.shape)
            values *= self._multiplier
            values += self._constant
            values >>= _SHIFT
            if added is not None:
                values += added[rows]
            outputs[...] = values.clip(low, self.high, out=values)
        return out

    def _sums(self, x: Plane, product: Product) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yields (rows, the sums [positions, O] of these rows of the plane)."""
        height, width, inputs = x.shape
        kernel_size = self.weight.shape[-1]
        padding = kernel_size // 2
        padded = x
        if padding:
            padded = np.empty((height + 2 * padding, width + 2 * padding, inputs), np.uint8)
            for border in (padded[:padding], padded[-padding:], padded[:, :padding], padded[:, -padding:]):
                border[...] = self._zero
            padded[padding:-padding, padding:-padding] = x
        # The positions of a row follow each other in memory: a row of a window is one run of bytes.
        shape = (height, width, kernel_size, kernel_size * inputs)
        row, position, channel = padded.strides
        windows = np.lib.stride_tricks.as_strided(
            padded, shape, (row, position, row, channel), writeable=False
        )
        rows_per_product = max(1, _POSITIONS_PER_PRODUCT // width)
        for top in range(0, height, rows_per_product):
            rows = slice(top, top + rows_per_product)
            yield rows, product(windows[rows].reshape(-1, kernel_size**2 * inputs), self._matrix)
