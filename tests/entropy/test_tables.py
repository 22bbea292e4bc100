"""Predictions to table slots, by the definition in docs/format.md."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy import ContextModel
from calotype.entropy.tables import PHASES, FrequencyTables, Slots, expected_offsets, locate
from calotype.errors import ModelError
from calotype.latents import STEPS


@given(st.integers(-2047, 2047), st.integers(0, 127), st.integers(-3, 130))
def test_locate(mean: int, scale: int, level: int) -> None:
    step = int(STEPS[level + 16])
    slots = locate(*(np.array([v]) for v in (mean, scale, level, step)))
    row = max(scale - level + 40, 0) // 2
    fine = max(0, -((48 - row) // 8))
    assert slots.fine[0] == fine
    assert slots.table[0] // 16 == row - 8 * fine <= 48
    # centre + phase / 16 is the mean in steps (of 2**fine quantiser steps), to a sixteenth
    found = slots.centre[0] + Fraction(int(slots.table[0]) % 16 - 8, 16)
    in_steps = Fraction(mean * 2**14, step)
    exact = (in_steps - Fraction(2**fine - 1, 2)) / 2**fine
    assert abs(found - exact) <= Fraction(1, 16)


def test_cost_is_the_negative_logarithm(small_model: ContextModel) -> None:
    tables = small_model.tables
    slots = locate(*(np.array([v] * 3) for v in (10, 60, 60, int(STEPS[76]))))
    cost = tables.cost(np.array([-20, 0, 20]), slots)
    freqs = tables.frequencies[slots.table[0], [0, 20, 40]]
    assert np.allclose(cost, 16 - np.log2(freqs))
    assert tables.cost(np.array([21, 21, 300]), slots)[2] > cost.min()


@pytest.mark.parametrize("damage", ["zero", "sum", "shape"])
def test_damaged_tables_are_refused(small_model: ContextModel, damage: str) -> None:
    table = small_model.tables.frequencies.reshape(49, 16, 42).copy()
    if damage == "zero":
        table[3, 2, 1], table[3, 2, 0] = 0, table[3, 2, 0] + table[3, 2, 1]
    elif damage == "sum":
        table[3, 2, 1] += 1
    else:
        table = table[:, :8]
    with pytest.raises(ModelError):
        FrequencyTables(table)


def slots_of(row: int, phase: int, fine: int = 0) -> Slots:
    return Slots(np.array([0]), np.array([row * PHASES + phase]), np.array([fine]))


def truncated_mean(mean: float, sigma: float, low: float, high: float) -> float:
    """Of a normal distribution between two bounds, in closed form."""
    a, b = (low - mean) / sigma, (high - mean) / sigma
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (a, b)]
    return mean + sigma * (density[0] - density[1]) / ((math.erf(b / 2**0.5) - math.erf(a / 2**0.5)) / 2)


@given(st.integers(8, 48), st.integers(0, 15), st.integers(-2, 2))
def test_the_expected_latent_is_the_mean_within_the_step(row: int, phase: int, residual: int) -> None:
    sigma, mean = 2 ** ((row + 0.5) / 8 - 4), phase / 16 - 0.5
    residual = int(np.clip(residual, math.ceil(mean - 3 * sigma), math.floor(mean + 3 * sigma)))
    found = int(expected_offsets(np.array([residual]), slots_of(row, phase))[0]) / 256
    wanted = truncated_mean(mean, sigma, residual - 0.5, residual + 0.5) - residual
    assert found == pytest.approx(wanted, abs=1 / 256)


def test_what_no_table_predicts_is_expected_in_the_middle() -> None:
    assert expected_offsets(np.array([21]), slots_of(30, 3)) == 0  # an escape
    assert expected_offsets(np.array([1]), slots_of(48, 3, fine=2)) == 0
    assert expected_offsets(np.array([20]), slots_of(0, 8)) < -100  # far out: at the near end of the step
