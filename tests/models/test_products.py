"""The matrix products of the context model: exact where they are used, few, and without BLAS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.entropy import CodingPass, reference_product
from calotype.latents import CHANNEL_OFFSETS, STEPS
from calotype.models import DEFAULT_CONTEXT_MODEL, integer_product, load_context_model
from calotype.models.products import SignedWeights, UnsignedWeights, gives_known_answer


@pytest.mark.parametrize("kind", [SignedWeights, UnsignedWeights])
@pytest.mark.parametrize("extremes", [True, False])
def test_products_are_those_of_integers(kind: type[SignedWeights | UnsignedWeights], extremes: bool) -> None:
    product = kind()
    if not gives_known_answer(product):
        pytest.skip("this processor saturates: the product is not used here")
    rng = np.random.default_rng(5)
    for positions, inputs, outputs in ((1, 1, 1), (3, 9, 2), (65, 54, 48), (130, 864, 96)):
        columns = rng.integers(0, 256, (positions, inputs)).astype(np.uint8)
        weight = rng.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        if extremes:
            columns = np.where(columns < 128, np.uint8(0), np.uint8(255))
            weight = np.where(weight < -20, np.int8(-127), np.int8(127))
        expected = columns.astype(np.int64) @ weight.astype(np.int64)
        assert np.array_equal(product(columns, weight), expected)
        assert np.array_equal(reference_product(columns, weight), expected)


def saturating(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.int64]:
    """Adds pairs of products in 16 bits, as processors with AVX2 do."""
    pairs = columns.astype(np.int64)[:, :, None] * weight.astype(np.int64)[None]
    return (pairs[:, ::2] + pairs[:, 1::2]).clip(-(1 << 15), (1 << 15) - 1).sum(1)


def reduced(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float32]:
    """Multiplies with activations of 8 significant bits, and sums rounded to 16."""
    product = reference_product(columns, weight).astype(np.float32)
    return (product.view(np.uint32) & np.uint32(0xFFFFFF00)).view(np.float32)


def test_inexact_products_do_not_give_the_known_answer() -> None:
    assert gives_known_answer(reference_product)
    assert gives_known_answer(integer_product)
    assert not gives_known_answer(saturating)
    assert not gives_known_answer(reduced)


def test_a_pass_multiplies_once_for_each_layer_and_block() -> None:
    """A guard for the speed: 166 layers, in blocks of at least 512 positions, and no sum twice."""
    shapes: list[tuple[int, int, int]] = []

    def counted(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float64]:
        shapes.append((*columns.shape, weight.shape[1]))
        return integer_product(columns, weight)

    model = replace(load_context_model(DEFAULT_CONTEXT_MODEL), product=counted)
    levels = np.full((64, 64), 60)
    coding = CodingPass(model, levels, STEPS, CHANNEL_OFFSETS)
    while coding.prediction is not None:
        coding.advance(np.zeros(len(coding.prediction.step), np.int64))
    fine_layers = 3 * 17  # of the last round, of 1,024 positions for each site
    assert len(shapes) == 166 + fine_layers
    assert sum(positions * inputs * outputs for positions, inputs, outputs in shapes) == 1_842_376_704
