"""Integer convolutions: products that agree with the definition, and bounds that are proved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy.network import SIGN, IntConv, reference_product
from calotype.errors import ModelError
from calotype.models.products import integer_product

PRODUCTS = (reference_product, integer_product)


def conv(
    inputs: int, outputs: int, size: int, seed: int, *, signed: int = 0, low: int = 0, scale: int = 1 << 12
) -> IntConv:
    rng = np.random.default_rng(seed)
    return IntConv(
        rng.integers(-127, 128, (outputs, inputs, size, size)).astype(np.int8),
        rng.integers(1, scale, outputs),
        rng.integers(-(1 << 24), 1 << 24, outputs),
        low,
        255,
        signed,
    )


def activations(net: IntConv, height: int, width: int, seed: int) -> np.ndarray:
    """int[I, H, W] within the bounds of the inputs, often at their extremes."""
    rng = np.random.default_rng(seed)
    inputs = net.weight.shape[1]
    signed = np.arange(inputs) >= inputs - net.signed
    low, high = np.where(signed, -127, 0), np.where(signed, 127, 255)
    x = rng.integers(low, high + 1, (height, width, inputs))
    return np.where(rng.random(x.shape) < 0.4, rng.choice([low, high], x.shape[:2]), x).transpose(2, 0, 1)


def stored(net: IntConv, x: np.ndarray) -> np.ndarray:
    """``x`` int[I, H, W] as the layer takes it: uint8[H, W, I]."""
    inputs = net.weight.shape[1]
    offset = np.where(np.arange(inputs) >= inputs - net.signed, SIGN, 0)
    return (x.transpose(1, 2, 0) + offset).astype(np.uint8)


def by_definition(net: IntConv, x: np.ndarray) -> np.ndarray:
    """The sum of docs/format.md with Python integers, one output at a time."""
    outputs, inputs, size, _ = net.weight.shape
    height, width = x.shape[1:]
    reach = size // 2
    out = np.zeros((outputs, height, width), np.int64)
    for o, y, c in np.ndindex(out.shape):
        total = 0
        for i, dy, dx in np.ndindex(inputs, size, size):
            row, column = y + dy - reach, c + dx - reach
            if 0 <= row < height and 0 <= column < width:
                total += int(net.weight[o, i, dy, dx]) * int(x[i, row, column])
        out[o, y, c] = (total * int(net.multiplier[o]) + int(net.bias[o])) >> 16
    return np.clip(out, net.low, net.high)


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([1, 3]),
    st.integers(0, 99),
    st.sampled_from([0, -255]),
    st.sampled_from([1 << 6, 1 << 12, 1 << 24]),
    st.data(),
)
def test_every_product_gives_the_definition(
    inputs: int, outputs: int, size: int, seed: int, low: int, scale: int, data: st.DataObject
) -> None:
    signed = data.draw(st.integers(0, inputs))
    net = conv(inputs, outputs, size, seed, signed=signed, low=low, scale=scale)
    x = activations(net, data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5)), seed)
    expected = by_definition(net, x).transpose(1, 2, 0)
    for product in PRODUCTS:
        assert np.array_equal(net(stored(net, x), product), expected)


@given(st.integers(0, 99))
def test_a_residual_is_added_and_clipped_as_by_definition(seed: int) -> None:
    net = conv(3, 3, 3, seed, low=-255)
    x = activations(net, 3, 4, seed)
    expected = np.clip(x + by_definition(net, x), 0, 255).transpose(1, 2, 0)
    for product in PRODUCTS:
        assert np.array_equal(net(stored(net, x), product, added=stored(net, x)), expected)


@pytest.mark.parametrize("signed", [0, 96])
def test_products_agree_at_the_edge_of_the_bound(signed: int) -> None:
    """Fan-in 864 at full magnitude, of both signs and of one sign."""
    net = conv(96, 16, 3, 3, signed=signed, scale=1 << 6)
    x = activations(net, 9, 9, 3)
    x[:, :4] = np.where(net.weight[0, :, 1, 1] > 0, x.max(), x.min())[:, None, None]
    first, second = (net(stored(net, x), product) for product in PRODUCTS)
    assert np.array_equal(first, second)
    assert len(np.unique(first)) > 2


def test_a_sum_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ModelError, match="beyond 16777216"):
        IntConv(np.full((1, 96, 3, 3), 127, np.int8), np.ones(1, np.int64), np.zeros(1, np.int64), 0, 255)


@pytest.mark.parametrize(("multiplier", "bias"), [(0, 0), (1 << 24, 0), (1, 1 << 48)])
def test_factors_out_of_range_are_refused(multiplier: int, bias: int) -> None:
    with pytest.raises(ModelError, match="out of range"):
        IntConv(np.ones((1, 1, 1, 1), np.int8), np.array([multiplier]), np.array([bias]), 0, 255)


def test_blocks_of_rows_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    net = conv(2, 3, 3, 1, signed=1)
    x = stored(net, activations(net, 37, 5, 4))
    sizes: list[int] = []

    def product(columns: np.ndarray, weight: np.ndarray) -> np.ndarray:
        sizes.append(len(columns))
        return reference_product(columns, weight)

    whole = net(x, product)
    monkeypatch.setattr("calotype.entropy.network._POSITIONS_PER_PRODUCT", 23)
    assert np.array_equal(net(x, product), whole)
    assert sizes == [37 * 5] + [4 * 5] * 9 + [5]
