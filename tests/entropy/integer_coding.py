"""Integers at random, and their way into a payload and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy import CodingPass, ContextModel, SymbolEncoder, decode_integers
from calotype.latents import CHANNEL_OFFSETS, STEPS


def random_integers(
    largest: int, shape: tuple[int, int], *, level: int = 60, seed: int = 8
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Returns integers int16[4, h, w] of at most ``largest``, and their levels int64[h, w]."""
    rng = np.random.default_rng(seed)
    integers = rng.integers(-largest, largest + 1, (4, *shape)).astype(np.int16)
    return integers, np.full(shape, level)


def encode_integers(model: ContextModel, integers: NDArray, levels: NDArray) -> bytes:
    """Returns the payload of integers int16[4, h, w] at the levels int64[h, w]."""
    encoder = SymbolEncoder(model.tables)
    coding = CodingPass(model, levels, STEPS, CHANNEL_OFFSETS)
    while (prediction := coding.prediction) is not None:
        chosen = integers[prediction.channel, prediction.rows, prediction.columns].ravel().astype(np.int64)
        encoder.encode(chosen, prediction)
        coding.advance(chosen)
    assert np.array_equal(coding.result.integers, integers)
    return encoder.finish()


def decode_payload(model: ContextModel, payload: bytes, levels: NDArray) -> NDArray[np.int16]:
    """Returns the integers of a payload."""
    return decode_integers(model, payload, levels, STEPS, CHANNEL_OFFSETS).integers
