"""Steps, reconstruction and noise codes, against their definitions in docs/format.md."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy import MissingIntegers
from calotype.latents import (
    CHANNEL_OFFSETS,
    COARSEST,
    FINEST,
    STEPS,
    dequantise,
    level_of_quality,
    log_step_map,
    noise_codes,
    noise_deviations,
    step_of_level,
)


def test_steps_are_those_of_the_format() -> None:
    levels = np.arange(160) - 16
    assert np.allclose(STEPS * 2.0**-22, 2.0 ** (levels / 16 - 5), rtol=1e-5)
    assert STEPS[:4].tolist() == [65536, 68438, 71468, 74632]
    assert STEPS[159] == 125515 << 9


@given(st.integers(0, 127), st.integers(-32767, 32767), st.integers(0, 3))
def test_dequantise_is_one_exact_product(level: int, integer: int, channel: int) -> None:
    integers = np.zeros((4, 1, 1), np.int16)
    integers[channel] = integer
    dequantised = dequantise(integers, np.array([[level]]))
    exact = integer * int(STEPS[level + CHANNEL_OFFSETS[channel] + 16])
    assert dequantised[channel, 0, 0] == np.float32(exact / 2**22)


def test_quality_spans_the_levels_and_rises() -> None:
    levels = [level_of_quality(quality) for quality in range(101)]
    assert levels[0] == COARSEST and levels[100] == FINEST
    assert levels == sorted(levels, reverse=True)


def test_the_log_step_map_is_log2_of_the_steps() -> None:
    assert log_step_map(np.array([[80, 64]])).tolist() == [[[0.0, -1.0]]]
    assert step_of_level(80) == 1.0


@pytest.mark.parametrize(("spacing", "smoothing"), [(4, 1.0), (2, 0.0)])
def test_the_step_map_of_few_integers_does_not_show_their_grid(spacing: int, smoothing: float) -> None:
    levels = np.full((32, 32), 64)
    unknown = np.ones((4, 32, 32), bool)
    unknown[:, ::spacing, ::spacing] = False
    shape = unknown.shape
    missing = MissingIntegers(unknown, np.zeros(shape, np.int16), np.full(shape, 96, np.uint8))
    inside = log_step_map(levels, missing)[0, 4:-4, 4:-4]
    known, step = -1.0, 96 / 16 - 6.5 + math.log2(12) / 2
    centre = known + smoothing * 0.75 * (step - known)
    assert inside[::spacing, ::spacing] == pytest.approx(centre, abs=1e-5)
    assert inside.max() == pytest.approx(step, abs=1e-5)


@pytest.mark.parametrize("rows", range(6))
def test_the_step_map_is_smoothed_less_the_more_integers_have_arrived(rows: int) -> None:
    shape = (4, 16, 16)
    unknown = np.ones(shape, bool)
    unknown[:, 4, 4] = False
    unknown[:, 16 - rows :] = False
    missing = MissingIntegers(unknown, np.zeros(shape, np.int16), np.full(shape, 96, np.uint8))
    known, step = -1.0, 96 / 16 - 6.5 + math.log2(12) / 2
    smoothing = np.clip((0.25 - (1 + 16 * rows) / 256) / 0.125, 0, 1)
    result = log_step_map(np.full((16, 16), 64), missing)
    assert result[0, 4, 4] == pytest.approx(known + smoothing * 0.75 * (step - known), abs=1e-5)


@pytest.mark.parametrize("level", [30, 56, 90])
@pytest.mark.parametrize("shrink", [1.0, 0.5, 0.3])
def test_noise_codes_give_the_deviation(level: int, shrink: float) -> None:
    """Latents off the grid by a uniform error of a known size."""
    rng = np.random.default_rng(1)
    levels = np.full((64, 64), level)
    integers = rng.integers(-2, 3, (4, 64, 64)).astype(np.int16)
    steps = np.array([step_of_level(level + offset) for offset in CHANNEL_OFFSETS])[:, None, None]
    error = rng.uniform(-0.5, 0.5, (4, 64, 64)) * steps * shrink
    decoded = dequantise(integers, levels)
    codes = noise_codes((decoded + error).astype(np.float32), decoded, levels)
    assert np.allclose(noise_deviations(codes, levels), error.std((1, 2)), rtol=0.13)


def test_lossless_latents_have_the_lowest_noise_code() -> None:
    levels = np.full((2, 2), 50)
    decoded = dequantise(np.ones((4, 2, 2), np.int16), levels)
    assert noise_codes(decoded, decoded, levels) == (0, 0, 0, 0)
