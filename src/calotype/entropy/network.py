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
        reach = magnitude @ np.where(signed, _SIGNED_PEAK, _UNSIGNED_PEAK)
        if int(reach.max()) > _MAX_EXACT_SUM:
            raise ModelError(f"a context model sum may reach {int(reach.max())}, beyond {_MAX_EXACT_SUM}")
        bias_in_range = self.bias.min() > -(1 << 48) and self.bias.max() < 1 << 48
        if self.multiplier.min() < 1 or self.multiplier.max() >= 1 << 24 or not bias_in_range:
            raise ModelError("a context model multiplier or bias is out of range")
        # The constant takes back from the sums what the stored zeros add to them.
        zero = np.where(signed, SIGN, 0)
        constant = self.bias - self.multiplier * (self.weight.sum((2, 3), dtype=np.int64) @ zero)
        largest = magnitude.sum(1) * _UNSIGNED_PEAK * self.multiplier + np.abs(constant)
        dtype = np.int32 if largest.max() < 1 << 31 else np.int64
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
        for rows, total in self._sums(x, product):
            part = out[rows]
            value = total.astype(self._multiplier.dtype, copy=False).reshape(part.shape)
            value *= self._multiplier
            value += self._constant
            value >>= _SHIFT
            if added is not None:
                value += added[rows]
            part[...] = value.clip(low, self.high, out=value)
        return out

    def _sums(self, x: Plane, product: Product) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yields (rows, the sums [positions, O] of these rows of the plane)."""
        height, width, inputs = x.shape
        taps = self.weight.shape[-1]
        reach = taps // 2
        padded = x
        if reach:
            padded = np.empty((height + 2 * reach, width + 2 * reach, inputs), np.uint8)
            for border in (padded[:reach], padded[-reach:], padded[:, :reach], padded[:, -reach:]):
                border[...] = self._zero
            padded[reach:-reach, reach:-reach] = x
        # The positions of a row follow each other in memory: the taps of one row are one run of bytes.
        shape = (height, width, taps, taps * inputs)
        row, position, channel = padded.strides
        windows = np.lib.stride_tricks.as_strided(
            padded, shape, (row, position, row, channel), writeable=False
        )
        count = max(1, _POSITIONS_PER_PRODUCT // width)
        for top in range(0, height, count):
            rows = slice(top, top + count)
            yield rows, product(windows[rows].reshape(-1, taps * taps * inputs), self._matrix)
