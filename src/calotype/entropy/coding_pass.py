"""The coding pass: the order of coding and the context of each latent, in one loop for encoder and decoder.

Latents are padded to a multiple of 8 and coded from coarse to fine. First comes the *base grid*, one position
in 8x8. The grids of spacing s = 4, 2 and 1 follow. Each of them contains the grid A of spacing 2s, which was
coded before, and three *sites*: the positions with the offsets (s, s), (0, s) and (s, 0) from A::

    A C A C      A  is the grid that was coded before
    D B D B      B  is predicted from A, then C from A and B, then D from A, B and C
    A C A C
    D B D B

At each site the four channels are coded one after another, each with the earlier ones as context. All
positions of one channel at one site have one :class:`Prediction`.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.model import CONTEXT_PEAK, ContextModel, SiteNet
from calotype.entropy.network import Plane
from calotype.entropy.tables import MEAN_UNIT_BITS, STEP_UNIT_BITS, QuantisedPrediction, quantise_prediction

__all__ = [
    "BASE_SPACING",
    "CHANNELS",
    "CodingPass",
    "MissingIntegers",
    "PassResult",
    "Prediction",
    "Site",
    "coding_order",
]

BASE_SPACING, CHANNELS = 8, 4
"""The spacing of the base grid and the number of channels of the hierarchical coding, not of a latent space
(docs/format.md)."""

_SITE_OFFSETS = ((1, 1), (0, 1), (1, 0))
"""The offsets (y, x) of the three sites of a grid, in units of its spacing."""

_CONTEXT_SHIFT, _MEAN_SHIFT = STEP_UNIT_BITS - 4, MEAN_UNIT_BITS - 4  # the networks see latents in sixteenths


class Site(NamedTuple):
    """The positions (y, x) + ``stride`` * (i, j), with (y, x) the ``offset``, which ``network`` predicts.

    Its context are the latents at ``context_offsets`` + ``stride`` * (i, j), which were coded before.
    """

    network: SiteNet
    stride: int
    offset: tuple[int, int]
    context_offsets: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Prediction:
    """The prediction of N integers, those of one channel at one site, in raster order."""

    channel: int
    rows: slice
    columns: slice
    mean: NDArray[np.int64]  # int64[N], in 2**-8 latents
    scale: NDArray[np.int64]  # int64[N], 0..127
    quantised: QuantisedPrediction
    step: NDArray[np.int64]  # int64[N], in 2**-22 latents


@dataclass(frozen=True, eq=False)
class MissingIntegers:
    """The integers that have not arrived, and the context model's prediction of their latents.

    All arrays are [4, h, w]. ``mask`` is bool, True where an integer is missing. ``mean`` is int16, in 2**-8
    latents. ``scale`` is uint8 and stands for the standard deviation 2**(scale / 16 - 6.5). Mean and scale
    have no meaning outside the mask.
    """

    mask: NDArray[np.bool_]
    mean: NDArray[np.int16]
    scale: NDArray[np.uint8]

    def subsampled(self, spacing: int) -> MissingIntegers | None:
        """Returns views of the rows and columns that are multiples of ``spacing``.

        The result is None if no integer is missing there.
        """
        positions = (slice(None), slice(None, None, spacing), slice(None, None, spacing))
        return (
            MissingIntegers(self.mask[positions], self.mean[positions], self.scale[positions])
            if self.mask[positions].any()
            else None
        )


@dataclass(frozen=True, eq=False)
class PassResult:
    """The integers int16[4, h, w] of a picture, and how the context model predicted them.

    ``table_indices`` int16[4, h, w] are the frequency tables, and ``interval_symbols`` uint8[4, h, w] the
    symbols in them (:meth:`QuantisedPrediction.interval_symbols`); conditional means are computed from both.
    ``missing`` is None if no integer is missing.
    """

    integers: NDArray[np.int16]
    table_indices: NDArray[np.int16]
    interval_symbols: NDArray[np.uint8]
    missing: MissingIntegers | None = None

    def copy(self) -> PassResult:
        """Returns a copy that shares no array with this result."""
        arrays = (self.integers.copy(), self.table_indices.copy(), self.interval_symbols.copy())
        missing = self.missing
        if missing is not None:
            missing = MissingIntegers(missing.mask.copy(), missing.mean.copy(), missing.scale.copy())
        return PassResult(*arrays, missing)

    def subsampled(self, spacing: int) -> PassResult:
        """Returns views of the rows and columns that are multiples of ``spacing``."""
        positions = (slice(None), slice(None, None, spacing), slice(None, None, spacing))
        missing = None if self.missing is None else self.missing.subsampled(spacing)
        return PassResult(
            self.integers[positions],
            self.table_indices[positions],
            self.interval_symbols[positions],
            missing,
        )

    def with_missing(
        self, positions: tuple[int, slice, slice], arrived: NDArray[np.bool_], prediction: Prediction
    ) -> PassResult:
        """Returns the result in which the integers of ``prediction`` that have not ``arrived`` are missing.

        ``positions`` are the channel, rows and columns of the prediction, and ``arrived`` is bool of their
        shape. The arrays of both results are the same.
        """
        missing = self.missing
        if missing is None:
            shape = self.integers.shape
            missing = MissingIntegers(
                np.zeros(shape, bool), np.zeros(shape, np.int16), np.zeros(shape, np.uint8)
            )
        missing.mask[positions] = ~arrived
        missing.mean[positions] = prediction.mean.reshape(arrived.shape)
        missing.scale[positions] = prediction.scale.reshape(arrived.shape)
        return replace(self, missing=missing)


def coding_order(model: ContextModel) -> Iterator[Site]:
    """Yields the ten sites in coding order; the first is the base grid."""
    yield Site(model.base, BASE_SPACING, (0, 0), ())
    spacing = BASE_SPACING
    for networks in model.finer_grids:
        spacing //= 2
        context_offsets: tuple[tuple[int, int], ...] = ((0, 0),)
        for (y, x), network in zip(_SITE_OFFSETS, networks, strict=True):
            site = Site(network, 2 * spacing, (y * spacing, x * spacing), context_offsets)
            yield site
            context_offsets += (site.offset,)


class CodingPass:
    """The state of the coding loop.

    ``prediction`` is the current prediction. :meth:`advance` takes its integers and computes the next one;
    after the last prediction it is None. ``result`` holds the integers so far. Every network is evaluated
    once, when its prediction becomes the current one.
    """

    def __init__(
        self,
        model: ContextModel,
        levels: NDArray[np.int64],
        steps: NDArray[np.int64],
        channel_offsets: tuple[int, ...],
        *,
        spacing: int = 1,
    ) -> None:
        """``spacing`` (1, 2, 4 or 8) is that of the grid after which the pass ends.

        ``levels`` int64[h, w] (0..127); ``steps`` int64 by effective level + 16, in 2**-22 latents;
        ``channel_offsets`` the level offset of each channel.
        """
        self._model, self._levels, self._steps, self._channel_offsets = model, levels, steps, channel_offsets
        height, width = levels.shape
        full = (-(-height // BASE_SPACING) * BASE_SPACING, -(-width // BASE_SPACING) * BASE_SPACING)
        self._context = np.zeros((CHANNELS, *full), np.int8)
        self._guide = np.zeros((2, *full), np.int8)  # the level, and which positions exist
        self._guide[0, :height, :width] = np.clip(2 * (levels - 64), -CONTEXT_PEAK, CONTEXT_PEAK)
        self._guide[1, :height, :width] = CONTEXT_PEAK
        shape = (CHANNELS, height, width)
        self.result = PassResult(
            np.zeros(shape, np.int16), np.zeros(shape, np.int16), np.zeros(shape, np.uint8)
        )
        # Sites without any position within the picture are left out, and those of finer grids than asked for.
        self._sites = [
            site
            for site in coding_order(model)
            if site.offset[0] < height
            and site.offset[1] < width
            and not any(coordinate % spacing for coordinate in site.offset)
        ]
        self._site_index, self._channel = 0, 0
        self._features = self._site_features()
        self.prediction: Prediction | None = self._predict_latents()

    def copy(self) -> CodingPass:
        """Returns an independent copy of the state; the features of the current site are shared."""
        other = copy(self)
        other._context, other.result = self._context.copy(), self.result.copy()
        return other

    def advance(self, integers: NDArray[np.int64], arrived: NDArray[np.bool_] | None = None) -> None:
        """Takes the integers int64[N] of the current prediction and computes the next prediction.

        ``arrived`` bool[N] is False for missing integers; None means that all have arrived. Later predictions
        use the predicted mean in place of a missing integer, and the result lists it
        (:class:`MissingIntegers`).
        """
        prediction = self.prediction
        if prediction is None:
            raise ValueError("the coding pass is at its end")
        rows, columns, quantised = prediction.rows, prediction.columns, prediction.quantised
        shape = self._levels[rows, columns].shape
        positions = (prediction.channel, rows, columns)
        self.result.integers[positions] = integers.reshape(shape)
        self.result.table_indices[positions] = quantised.table_index.reshape(shape)
        self.result.interval_symbols[positions] = quantised.interval_symbols(integers).reshape(shape)
        context = (integers * prediction.step + (1 << (_CONTEXT_SHIFT - 1))) >> _CONTEXT_SHIFT
        if arrived is not None and not arrived.all():
            expected = (prediction.mean + (1 << (_MEAN_SHIFT - 1))) >> _MEAN_SHIFT
            context = np.where(arrived, context, expected)
            self.result = self.result.with_missing(positions, arrived.reshape(shape), prediction)
        self._context[positions] = np.clip(context, -CONTEXT_PEAK, CONTEXT_PEAK).reshape(shape)
        self._channel += 1
        if self._channel == CHANNELS:
            self._site_index, self._channel = self._site_index + 1, 0
            if self._site_index == len(self._sites):
                self.prediction = None
                return
            self._features = self._site_features()
        self.prediction = self._predict_latents()

    def _site_features(self) -> Plane:
        network, stride, (y, x), context_offsets = self._sites[self._site_index]
        planes = [self._context[:, dy::stride, dx::stride] for dy, dx in context_offsets]
        inputs = np.concatenate([*planes, self._guide[:, y::stride, x::stride]])
        return network.features(inputs, self._model.product)

    def _predict_latents(self) -> Prediction:
        network, stride, (y, x), _ = self._sites[self._site_index]
        channel = self._channel
        rows, columns = slice(y, self._levels.shape[0], stride), slice(x, self._levels.shape[1], stride)
        levels = self._levels[rows, columns]
        earlier_channels = self._context[:channel, y::stride, x::stride]
        predicted = network.predict(channel, self._features, earlier_channels, self._model.product)
        mean, scale = (plane[: levels.shape[0], : levels.shape[1]].ravel() for plane in predicted)
        level = levels.ravel() + self._channel_offsets[channel]
        step = self._steps[level + 16]
        return Prediction(
            channel, rows, columns, mean, scale, quantise_prediction(mean, scale, level, step), step
        )
