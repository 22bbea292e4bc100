"""Integer convolutions: two independent evaluations that agree, and bounds that are proved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy.network import IntConv, evaluate_in_strips, exact_dtype
from calotype.errors import ModelError


def conv(inputs: int, outputs: int, size: int, seed: int, peak: int = 255) -> IntConv:
    rng = np.random.default_rng(seed)
    return IntConv(
        rng.integers(-127, 128, (outputs, inputs, size, size)).astype(np.int8),
        rng.integers(1, 1 << 12, outputs),
        rng.integers(-(1 << 24), 1 << 24, outputs),
        -255,
        255,
        np.full(inputs, peak, np.int64),
    )


def by_definition(net: IntConv, x: np.ndarray) -> np.ndarray:
    """The sum of docs/format.md with Python integers, one output at a time."""
    outputs, inputs, size, _ = net.weight.shape
    height, width = x.shape[1:]
    halo = size // 2
    out = np.zeros((outputs, height, width), np.int64)
    for o, y, c in np.ndindex(out.shape):
        total = 0
        for i, dy, dx in np.ndindex(inputs, size, size):
            row, column = y + dy - halo, c + dx - halo
            if 0 <= row < height and 0 <= column < width:
                total += int(net.weight[o, i, dy, dx]) * int(x[i, row, column])
        out[o, y, c] = (total * int(net.multiplier[o]) + int(net.bias[o])) >> 16
    return np.clip(out, net.low, net.high)


@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 3]), st.integers(0, 99), st.data())
def test_both_evaluations_are_the_definition(
    inputs: int, outputs: int, size: int, seed: int, data: st.DataObject
) -> None:
    shape = (inputs, data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5)))
    x = np.random.default_rng(seed).integers(-255, 256, shape)
    net = conv(inputs, outputs, size, seed)
    expected = by_definition(net, x)
    assert np.array_equal(net(x.astype(np.float32)), expected)
    assert np.array_equal(net(x), expected)


def test_evaluations_agree_at_the_edge_of_the_bound() -> None:
    """Fan-in 864 at full magnitude: sums that float32 holds only because the bound is proved."""
    rng = np.random.default_rng(3)
    net = conv(96, 16, 3, 3)
    x = rng.choice([0, 254, 255], (96, 9, 9))
    assert np.array_equal(net(x.astype(np.float32)), net(x))


def test_a_sum_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ModelError, match="beyond the exact 16777216"):
        IntConv(
            np.full((1, 96, 3, 3), 127, np.int8),
            np.ones(1, np.int64),
            np.zeros(1, np.int64),
            0,
            255,
            np.full(96, 255),
        )


@pytest.mark.parametrize(("multiplier", "bias"), [(0, 0), (1 << 24, 0), (1, 1 << 48)])
def test_factors_out_of_range_are_refused(multiplier: int, bias: int) -> None:
    with pytest.raises(ModelError, match="out of range"):
        IntConv(
            np.ones((1, 1, 1, 1), np.int8), np.array([multiplier]), np.array([bias]), 0, 255, np.array([1])
        )


def test_strips_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = conv(2, 3, 3, 1), conv(3, 2, 3, 2)
    x = np.random.default_rng(4).integers(-255, 256, (2, 37, 5)).astype(np.float32)
    whole = second(first(x))
    monkeypatch.setattr("calotype.entropy.network._STRIP_POSITIONS", 1)
    assert np.array_equal(evaluate_in_strips(lambda part: second(first(part)), x, 2), whole)


def test_this_machine_multiplies_exactly() -> None:
    assert exact_dtype() in (np.float32, np.int64)
