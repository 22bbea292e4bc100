"""The hierarchical (coarse-to-fine) context model: its networks and frequency tables, from one shipped file.

The file is an uncompressed ``.npz``. It holds ``widths`` int64[5] (the trunk widths at spacing 8, 4, 2, 1 and
the head width), ``weight`` int8, ``multiplier`` int32 and ``bias`` int64 of all layers in coding order, and
``frequencies`` uint16[49, 16, 42].
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.network import SIGN, IntConv, Plane, Product, reference_product
from calotype.entropy.tables import FrequencyTables
from calotype.errors import ModelError

__all__ = ["CONTEXT_PEAK", "MEAN_LIMIT", "SCALE_LIMIT", "ContextModel", "SiteNet", "read_context_model"]

CONTEXT_PEAK = 127
"""The largest magnitude of a latent as context, in sixteenths of a scaled latent, and of a guide."""

FEATURE_PEAK = 255
"""The largest value of a feature."""

MEAN_LIMIT = 2047
"""The largest magnitude of a predicted mean, in 2**-8 latents."""

SCALE_LIMIT = 127
"""The largest predicted scale."""

RESIDUAL_BLOCKS = 2
"""The number of residual blocks in the trunk of each site but the base grid, which has none."""

_ARRAYS: dict[str, tuple[type[np.integer[Any]], int]] = {
    "widths": (np.int64, 1),
    "weight": (np.int8, 1),
    "multiplier": (np.int32, 1),
    "bias": (np.int64, 1),
    "frequencies": (np.uint16, 3),
}
"""The arrays of the file: data type and number of dimensions."""


@dataclass(frozen=True)
class SiteNet:
    """The network of one site (a subset of the positions): a trunk over its context, a head for each channel.

    The trunk is a convolution and ``residual_blocks`` of two convolutions each. A head has three
    convolutions. The methods take latents and guides as int8[C, H, W], and the matrix product to compute
    with.
    """

    enter: IntConv
    residual_blocks: tuple[tuple[IntConv, IntConv], ...]
    heads: tuple[tuple[IntConv, IntConv, IntConv], ...]

    def features(self, planes: NDArray[np.int8], product: Product) -> Plane:
        """Computes features uint8[H, W, width] from the planes int8[I, H, W] of its context."""
        x: Plane = self.enter(_stored_planes(planes), product)
        for first, second in self.residual_blocks:
            x = second(first(x, product), product, added=x)
        return x

    def predict(
        self, channel: int, features: Plane, earlier_channels: NDArray[np.int8], product: Product
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Predicts (mean, scale) of a channel, int64[H, W] each.

        ``earlier_channels`` int8[channel, H, W] are the latents of this site in the channels before.
        """
        first, second, last = self.heads[channel]
        x = np.concatenate([features, _stored_planes(earlier_channels)], axis=2) if channel else features
        out = last(second(first(x, product), product), product).astype(np.int64)
        return out[..., 0], np.clip(out[..., 1], 0, SCALE_LIMIT)


def _stored_planes(planes: NDArray[np.int8]) -> Plane:
    """Returns int8[C, H, W] as activations uint8[H, W, C]; adding 128 modulo 256 flips the sign bit."""
    stored: Plane = planes.transpose(1, 2, 0).astype(np.uint8) ^ np.uint8(SIGN)
    return stored


@dataclass(frozen=True)
class ContextModel:
    """``base`` predicts the base grid, of spacing 8; ``finer_grids`` three sites each at spacing 4, 2 and 1.

    ``product`` multiplies the matrices of the networks. Every exact product gives the same integers.
    """

    base: SiteNet
    finer_grids: tuple[tuple[SiteNet, SiteNet, SiteNet], ...]
    tables: FrequencyTables
    product: Product = reference_product

    def with_reference_product(self) -> ContextModel:
        """Returns the model with the product that needs nothing but numpy."""
        return replace(self, product=reference_product)


class _LayerReader:
    """Reads layers from the flat arrays, in order."""

    def __init__(
        self, weight: NDArray[np.int8], multiplier: NDArray[np.int32], bias: NDArray[np.int64]
    ) -> None:
        self._arrays = (weight, multiplier.astype(np.int64), bias.astype(np.int64))
        self._positions = [0, 0, 0]

    def conv(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        *,
        low: int = 0,
        high: int = FEATURE_PEAK,
        signed: int = 0,
    ) -> IntConv:
        """Reads a convolution; ``signed`` is the number of its last inputs that have a sign."""
        weight = self._take(0, outputs * inputs * kernel_size**2)
        shaped = weight.reshape(outputs, inputs, kernel_size, kernel_size).astype(np.int8)
        return IntConv(shaped, self._take(1, outputs), self._take(2, outputs), low, high, signed)

    def site(self, context_sites: int, width: int, head_width: int) -> SiteNet:
        """Reads the network of a site whose context are the four channels of ``context_sites`` sites."""
        planes = 4 * context_sites + 2
        enter = self.conv(planes, width, 3, signed=planes)
        residual_blocks = []
        for _ in range(RESIDUAL_BLOCKS if context_sites else 0):
            first = self.conv(width, width, 3)
            residual_blocks.append((first, self.conv(width, width, 3, low=-FEATURE_PEAK)))
        heads = []
        for channel in range(4):
            first = self.conv(width + channel, head_width, 3, signed=channel)
            second = self.conv(head_width, head_width, 1)
            heads.append((first, second, self.conv(head_width, 2, 1, low=-MEAN_LIMIT, high=MEAN_LIMIT)))
        return SiteNet(enter, tuple(residual_blocks), tuple(heads))

    def _take(self, array_index: int, count: int) -> NDArray[np.int64]:
        begin = self._positions[array_index]
        self._positions[array_index] += count
        if self._positions[array_index] > len(self._arrays[array_index]):
            raise ModelError("the context model file is too short for its widths")
        return self._arrays[array_index][begin : begin + count]  # type: ignore[return-value]

    def finish(self) -> None:
        """Raises :class:`ModelError` if values are left."""
        if self._positions != [len(array) for array in self._arrays]:
            raise ModelError("the context model file is too long for its widths")


def _read_npz_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
    except Exception as error:  # NumPy and zipfile raise many kinds of exceptions for files of other formats.
        raise ModelError(f"the context model file is damaged: {error}") from error
    for name, (dtype, dimensions) in _ARRAYS.items():
        array = arrays[name]
        if not np.can_cast(array.dtype, dtype, "equiv") or array.ndim != dimensions:
            raise ModelError(
                f"the context model file has {name} of type {array.dtype} and shape {array.shape}"
            )
    return arrays


def read_context_model(data: bytes, product: Product = reference_product) -> ContextModel:
    """Reads a context model file and checks its bounds; the model multiplies matrices with ``product``.

    Raises :class:`ModelError` if the file is damaged.
    """
    arrays = _read_npz_arrays(data)
    reader = _LayerReader(arrays["weight"], arrays["multiplier"], arrays["bias"])
    tables = FrequencyTables(arrays["frequencies"])
    widths = arrays["widths"].tolist()
    if len(widths) != 5 or not all(0 < width <= 512 for width in widths):
        raise ModelError(f"the context model file has impossible widths {widths}")
    *trunk_widths, head_width = widths
    base = reader.site(0, trunk_widths[0], head_width)
    finer_grids = []
    for width in trunk_widths[1:]:
        first, second, third = (reader.site(context_sites, width, head_width) for context_sites in (1, 2, 3))
        finer_grids.append((first, second, third))
    reader.finish()
    return ContextModel(base, tuple(finer_grids), tables, product)
