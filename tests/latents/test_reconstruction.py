"""Conditional-mean reconstruction: the mean of the values that are rounded to an integer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy import PassResult
from calotype.entropy.tables import ESCAPE, PHASES, QuantisedPrediction
from calotype.latents import (
    CHANNEL_OFFSETS,
    conditional_mean_offsets,
    dequantise,
    reconstruct_latents,
    step_of_level,
)


def offset_of(sigma_index: int, phase: int, residual: int, low_bits: int = 0) -> float:
    """Returns the offset of the integer with this residual, in steps."""
    quantised = QuantisedPrediction(
        np.array([0]), np.array([sigma_index * PHASES + phase]), np.array([low_bits])
    )
    return float(
        conditional_mean_offsets(
            quantised.table_index, quantised.interval_symbols(np.array([residual]) << low_bits)
        )[0]
    )


def truncated_mean(mean: float, sigma: float, low: float, high: float) -> float:
    """Returns the mean of a normal distribution between two bounds, in closed form."""
    a, b = (low - mean) / sigma, (high - mean) / sigma
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (a, b)]
    return mean + sigma * (density[0] - density[1]) / ((math.erf(b / 2**0.5) - math.erf(a / 2**0.5)) / 2)


@given(st.integers(8, 48), st.integers(0, 15), st.integers(-2, 2))
def test_it_is_the_mean_within_the_step(row: int, phase: int, residual: int) -> None:
    sigma, mean = 2 ** ((row + 0.5) / 8 - 4), phase / 16 - 0.5
    residual = int(np.clip(residual, math.ceil(mean - 3 * sigma), math.floor(mean + 3 * sigma)))
    wanted = truncated_mean(mean, sigma, residual - 0.5, residual + 0.5) - residual
    assert offset_of(row, phase, residual) == pytest.approx(wanted, abs=1 / 256)


def test_it_is_the_middle_where_no_table_predicts() -> None:
    assert offset_of(30, 3, 21) == 0  # an escape
    assert offset_of(48, 3, 1, low_bits=2) == 0
    assert offset_of(0, 8, 20) < -100 / 256  # far out: at the near end of the step


def test_values_are_offset_by_parts_of_the_step() -> None:
    integers = np.arange(4, dtype=np.int16).reshape(4, 1, 1)
    table, symbol = 30 * PHASES + 3, 19
    tables = np.full((4, 1, 1), table, np.int16)
    symbols = np.array([symbol] * 3 + [ESCAPE], np.uint8).reshape(4, 1, 1)
    coded = PassResult(integers, tables, symbols)
    reconstruction = reconstruct_latents(coded, np.array([[80]]))
    steps = np.array([step_of_level(80 + offset) for offset in CHANNEL_OFFSETS]).reshape(4, 1, 1)
    offset = offset_of(30, 3, symbol - 20)
    assert abs(offset) > 0.05
    assert np.array_equal(reconstruction.latents, dequantise(integers, reconstruction.levels))
    wanted = (integers + np.array([offset] * 3 + [0]).reshape(4, 1, 1)) * steps
    assert np.allclose(reconstruction.conditional_mean, wanted, rtol=1e-4)
