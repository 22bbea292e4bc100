"""Statistics of two pictures in blocks of 16x16 pixels, from the activations of the encoder's network.

::

    original ─ activations ┐                         ┌─ symmetric terms: is the block changed?
                           ├─ moments of each block ─┤
    decoded  ─ activations ┘                         └─ terms with a sign: which picture has more?

Errors of pixels do not distinguish other samples of the same texture from another object: both are large.
Energies and correlations of activations within a block can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "BlockTerms", "Scale", "compare_activations"]

BLOCK = 16
"""The side of a block, in pixels."""

_LATENTS = 2
"""The side of a block, in latent positions."""

_FLOOR = 1e-3
"""The energy below which a block shows no structure; activations have a variance of 1 over photographs."""

_KERNEL = np.array([0.25, 0.5, 0.25], np.float32)
"""The weights of neighbouring blocks, along each axis, in the window of energies and correlations."""

Scale = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Mean and deviation, float32[channels], of an activation over photographs."""


class BlockTerms(NamedTuple):
    """The terms of the regressions for blocks of h x w.

    ``change`` float32[terms, h, w] does not change when the pictures are exchanged; its last term is 1, for
    the constant. ``direction`` float32[terms, h, w] changes its sign.
    """

    change: NDArray[np.float32]
    direction: NDArray[np.float32]


def compare_activations(
    original: Sequence[NDArray[np.float32]],
    decoded: Sequence[NDArray[np.float32]],
    scales: Sequence[Scale],
) -> BlockTerms:
    """Returns the terms of two pictures with these activations, each float32[channels, h, w].

    The last activations are those at an eighth of the picture's resolution.
    """
    blocks = original[-1].shape[1] // _LATENTS
    change, direction = [], []
    for first, second, (mean, deviation) in zip(original, decoded, scales, strict=True):
        standard = [(values - mean[:, None, None]) / deviation[:, None, None] for values in (first, second)]
        terms = _terms_of_scale(standard[0], standard[1], blocks)
        change.append(terms.change)
        direction.append(terms.direction)
    change.append(np.ones_like(change[0][:1]))
    return BlockTerms(np.concatenate(change), np.concatenate(direction))


def _terms_of_scale(original: NDArray[np.float32], decoded: NDArray[np.float32], blocks: int) -> BlockTerms:
    """Returns the terms of float32[channels, n h, n w] with h ``blocks``, without the constant."""
    side = original.shape[1] // blocks

    def means(values: NDArray[np.float32]) -> NDArray[np.float32]:
        channels, height, width = values.shape
        parts = values.reshape(channels, height // side, side, width // side, side)
        averages: NDArray[np.float32] = parts.mean((2, 4), dtype=np.float32)
        return averages

    means_of = [_window(means(values)) for values in (original, decoded)]
    energies = [
        np.maximum(_window(means(values**2)) - mean**2, 0) + _FLOOR
        for values, mean in zip((original, decoded), means_of, strict=True)
    ]
    shared = _window(means(original * decoded)) - means_of[0] * means_of[1]
    # The part of the energy that a linear regression on the other picture does not explain, by channel.
    explained = np.clip(shared**2 / (energies[0] * energies[1]), 0, 1)
    loss, gain = ((1 - explained) * energy for energy in energies)
    displaced = means((original - decoded) ** 2) + (means_of[0] - means_of[1]) ** 2
    correlation = shared.sum(0) / np.sqrt(energies[0].sum(0) * energies[1].sum(0))
    gains, losses, before, after = (_log(part.mean(0)) for part in (gain, loss, *energies))
    together = [gains + losses, abs(gains - losses), before + after, abs(before - after), correlation]
    change = [_log(gain + loss), _log(displaced), _log(energies[0] + energies[1]), np.stack(together)]
    return BlockTerms(np.concatenate(change), np.stack([gains - losses, after - before]))


def _log(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    logarithms: NDArray[np.float32] = np.log(np.maximum(energies, np.float32(_FLOOR)))
    return logarithms


def _window(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns weighted means of each block of float32[channels, h, w] and its neighbours."""
    padded = np.pad(means, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=2) @ _KERNEL
    down: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(across, 3, axis=1) @ _KERNEL
    return down
