"""Predictions are quantised to frequency tables, by the definition in docs/format.md."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy import ContextModel
from calotype.entropy.tables import FrequencyTables, quantise_prediction
from calotype.errors import ModelError
from calotype.latents import STEPS


@given(st.integers(-2047, 2047), st.integers(0, 127), st.integers(-3, 130))
def test_a_prediction_selects_the_table_of_the_definition(mean: int, scale: int, level: int) -> None:
    step = int(STEPS[level + 16])
    quantised = quantise_prediction(*(np.array([v]) for v in (mean, scale, level, step)))
    sigma_index = max(scale - level + 40, 0) // 2
    low_bits = max(0, -((48 - sigma_index) // 8))
    assert quantised.low_bits[0] == low_bits
    assert quantised.table_index[0] // 16 == sigma_index - 8 * low_bits <= 48
    # centre + phase / 16 is the mean in steps (of 2**low_bits quantiser steps), to a sixteenth
    selected_mean = quantised.centre[0] + Fraction(int(quantised.table_index[0]) % 16 - 8, 16)
    in_steps = Fraction(mean * 2**14, step)
    exact = (in_steps - Fraction(2**low_bits - 1, 2)) / 2**low_bits
    assert abs(selected_mean - exact) <= Fraction(1, 16)


def test_cost_is_the_negative_logarithm(small_model: ContextModel) -> None:
    tables = small_model.tables
    quantised = quantise_prediction(*(np.array([v] * 3) for v in (10, 60, 60, int(STEPS[76]))))
    cost = tables.cost(quantised.centre + np.array([-20, 0, 20]), quantised)
    freqs = tables.frequencies[quantised.table_index[0], [0, 20, 40]]
    assert np.allclose(cost, 16 - np.log2(freqs))
    assert tables.cost(quantised.centre + np.array([21, 21, 300]), quantised)[2] > cost.min()


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
