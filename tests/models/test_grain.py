"""The noise input of decoders, and the noise in their pictures."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from calotype.latents import SD1
from calotype.models import load_decoder
from calotype.models.grain import grain_noise

GOLDEN = "d926b28dd564ec04be5c93b72dd87ba42a4f4fefd2c5d806d8fbb227093e8dba"
"""sha256 of the bytes that the noise of 48x40 latents is made of: the same on every platform, for ever."""


def test_noise_depends_on_the_position_alone() -> None:
    whole = grain_noise((0, 0), 48, 40)
    assert whole.shape == (4, 192, 160) and whole.dtype == np.float32
    assert np.array_equal(grain_noise((7, 5), 20, 11), whole[:, 28:108, 20:64])
    made_of = np.rint(whole * 73.9 + 127.5).astype(np.uint8)
    assert hashlib.sha256(made_of.tobytes()).hexdigest() == GOLDEN


def test_it_is_white_noise_of_deviation_1() -> None:
    noise = grain_noise((100, 3000), 64, 64)
    assert np.abs(noise.mean((1, 2))).max() < 0.02
    assert np.abs(noise.std((1, 2)) - 1).max() < 0.01
    power = np.abs(np.fft.fft2(noise)) ** 2 / noise[0].size  # exponentially distributed, of mean 1
    assert power.max() < 20
    assert np.abs(np.corrcoef(noise.reshape(4, -1)) - np.eye(4)).max() < 0.02


@pytest.mark.parametrize("log_step", [-3, -1, 0])
def test_even_latents_show_grain_that_does_not_repeat(log_step: float) -> None:
    even = np.broadcast_to(np.float32([0.3, -0.2, 0.1, 0.4]).reshape(4, 1, 1), (4, 20, 20))
    steps = np.full((1, 20, 20), log_step, np.float32)
    shown = load_decoder("pocket", SD1.id, threads=1).decode(even, steps, np.zeros(4))
    cells = 255 * shown[:, 32:-32, 32:-32].reshape(3, 12, 8, 12, 8)  # of 8x8 pixels, away from the borders
    repeats = cells.mean((1, 3), keepdims=True)
    differs = (cells - repeats).std()
    assert differs > 0.15
    # Of 255: not to be seen. The decoder before the adversarial stage was trained to have less of it.
    assert (repeats - repeats.mean((2, 4), keepdims=True)).std() < 0.7
