"""The order of coding and what is known at each point: one loop, shared by encoder and decoder.

Latents are padded to a multiple of 8 and split by position. First the *base* lattice, one position in
8x8. Then three rounds halve the spacing s = 4, 2, 1; each fills in, from the lattice of spacing 2s, the
sites (s, s), (0, s) and (s, 0)::

    A C A C      A  known: spacing 2s
    D B D B      B  first, from A;  C from A, B;  D from A, B, C
    A C A C
    D B D B

At each site the four channels follow one another, each seeing those before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.model import CONTEXT_PEAK, ContextModel, SiteNet
from calotype.entropy.network import Plane, exact_dtype
from calotype.entropy.tables import STEP_UNIT_BITS, Slots, locate

__all__ = ["BLOCK", "CHANNELS", "PassResult", "Prediction", "SymbolCoder", "coding_pass", "sites"]

BLOCK, CHANNELS = 8, 4
_SITES = ((1, 1), (0, 1), (1, 0))
_CONTEXT_SHIFT = STEP_UNIT_BITS - 4  # the networks see latents in sixteenths


@dataclass(frozen=True)
class Prediction:
    """What the model says of the N positions of one channel at one site, in raster order."""

    channel: int
    rows: slice
    columns: slice
    slots: Slots
    step: NDArray[np.int64]  # int64[N], in 2**-22 latents


@dataclass(frozen=True, eq=False)
class PassResult:
    """The integers int16[4, h, w] of a picture, and how the context model coded them.

    ``tables`` int16[4, h, w] are the frequency tables used, ``symbols`` uint8[4, h, w] the symbols in them
    (:meth:`Slots.informative`): together they say what the model knew of each integer.
    """

    integers: NDArray[np.int16]
    tables: NDArray[np.int16]
    symbols: NDArray[np.uint8]


class SymbolCoder(Protocol):
    """Chooses (encoder) or reads (decoder) the integers of one prediction, int64[N]."""

    def __call__(self, prediction: Prediction) -> NDArray[np.int64]: ...


def sites(model: ContextModel) -> Iterator[tuple[SiteNet, int, tuple[int, int], list[tuple[int, int]]]]:
    """(network, stride, offset of the site, offsets already known) in coding order."""
    yield model.base, BLOCK, (0, 0), []
    spacing = BLOCK
    for nets in model.rounds:
        spacing //= 2
        known = [(0, 0)]
        for (dy, dx), net in zip(_SITES, nets, strict=True):
            site = (dy * spacing, dx * spacing)
            yield net, 2 * spacing, site, list(known)
            known.append(site)


def coding_pass(
    model: ContextModel,
    levels: NDArray[np.int64],
    steps: NDArray[np.int64],
    offsets: tuple[int, ...],
    coder: SymbolCoder,
    *,
    dtype: type[np.float32] | type[np.int64] | None = None,
) -> PassResult:
    """Takes every latent in coding order to the symbol coder, and returns the integers of that.

    ``levels`` int64[h, w] (0..127); ``steps`` int64 by effective level + 16, in 2**-22 latents; ``offsets``
    the level offset of each channel; ``dtype`` overrides the arithmetic the networks run in.
    """
    dtype = dtype or exact_dtype()
    height, width = levels.shape
    full = (-(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK)
    context = np.zeros((CHANNELS, *full), np.int8)
    guide = np.zeros((2, *full), np.int8)  # the level, and which positions exist
    guide[0, :height, :width] = np.clip(2 * (levels - 64), -CONTEXT_PEAK, CONTEXT_PEAK)
    guide[1, :height, :width] = CONTEXT_PEAK
    shape = (CHANNELS, height, width)
    result = PassResult(np.zeros(shape, np.int16), np.zeros(shape, np.int16), np.zeros(shape, np.uint8))
    for net, stride, (y, x), known in sites(model):
        rows, columns = slice(y, height, stride), slice(x, width, stride)
        here = levels[rows, columns]
        if not here.size:
            continue
        site = (slice(None), slice(y, None, stride), slice(x, None, stride))
        planes = [context[:, dy::stride, dx::stride] for dy, dx in known]
        features = net.features(np.concatenate([*planes, guide[site]]).astype(dtype))
        coded: Plane = np.zeros((0, *features.shape[1:]), dtype)
        for channel in range(CHANNELS):
            mean, scale = (
                p[: here.shape[0], : here.shape[1]].ravel() for p in net.predict(channel, features, coded)
            )
            level = here.ravel() + offsets[channel]
            step = steps[level + 16]
            slots = locate(mean, scale, level, step)
            chosen = coder(Prediction(channel, rows, columns, slots, step))
            result.integers[channel, rows, columns] = chosen.reshape(here.shape)
            result.tables[channel, rows, columns] = slots.table.reshape(here.shape)
            result.symbols[channel, rows, columns] = slots.informative(chosen).reshape(here.shape)
            seen = (chosen * step + (1 << (_CONTEXT_SHIFT - 1))) >> _CONTEXT_SHIFT
            seen = np.clip(seen, -CONTEXT_PEAK, CONTEXT_PEAK).reshape(here.shape)
            context[channel, rows, columns] = seen
            coded = context[: channel + 1, site[1], site[2]].astype(dtype)
    return result
