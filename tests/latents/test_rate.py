"""Rate control and rate-distortion decisions, on smooth random latents and the shipped tables."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.entropy import ContextModel
from calotype.errors import TargetSizeError
from calotype.latents import COARSEST, FINEST, Drafter, dequantise, fit_size
from calotype.models import DEFAULT_TABLE, load_table

OVERHEAD = 25


def overhead(payload_size: int) -> int:
    return OVERHEAD


@pytest.fixture(scope="module")
def table() -> ContextModel:
    return load_table(DEFAULT_TABLE)


@pytest.fixture(scope="module")
def latents() -> NDArray[np.float32]:
    """float32[4, 32, 32], correlated like a picture's."""
    rng = np.random.default_rng(2)
    field = rng.normal(size=(4, 32, 32))
    for axis in (1, 2):
        for shift in (1, 2, 4):
            field = field + np.roll(field, shift, axis)
    return (field / field.std()).astype(np.float32)


@pytest.mark.parametrize("target", [350, 600, 1100, 1900])
@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_targets_are_met_from_below(
    latents: NDArray[np.float32], table: ContextModel, target: int, strength: float
) -> None:
    draft, payload = fit_size(Drafter(latents, table, strength), target, overhead)
    assert target * 0.98 <= len(payload) + OVERHEAD <= target
    assert FINEST <= draft.level <= COARSEST


def test_a_target_beyond_the_finest_level_gets_the_finest(
    latents: NDArray[np.float32], table: ContextModel
) -> None:
    draft, _ = fit_size(Drafter(latents, table, 0.0), 10**6, overhead)
    assert draft.level == FINEST


def test_too_small_a_target_names_a_size_that_works(
    latents: NDArray[np.float32], table: ContextModel
) -> None:
    drafter = Drafter(latents, table, 0.05)
    with pytest.raises(TargetSizeError) as caught:
        fit_size(drafter, 27, overhead)
    assert f"{caught.value.smallest} bytes" in str(caught.value)
    _, payload = fit_size(drafter, caught.value.smallest, overhead)
    assert len(payload) + OVERHEAD <= caught.value.smallest


def test_a_draft_knows_its_length_and_its_error(latents: NDArray[np.float32], table: ContextModel) -> None:
    draft = Drafter(latents, table, 0.0).draft(60)
    assert draft.bits / 8 <= len(draft.payload()) <= draft.bits / 8 * 1.002 + 6
    reconstructed = dequantise(draft.integers, np.full((32, 32), 60))
    assert np.abs(reconstructed - latents).max() <= 0.5 * 2 ** ((60 + 3) / 16 - 5) * 1.001


def test_optimised_decisions_trade_error_for_bits(latents: NDArray[np.float32], table: ContextModel) -> None:
    plain = Drafter(latents, table, 0.0).draft(64)
    better = Drafter(latents, table, 0.1).draft(64)
    assert better.bits < 0.99 * plain.bits
    assert plain.error < better.error < 1.25 * plain.error
    price = 0.1 * 2.0 ** (2 * (64 / 16 - 5))
    assert better.error + price * better.bits < plain.error + price * plain.bits


def test_more_bytes_never_mean_more_error(latents: NDArray[np.float32], table: ContextModel) -> None:
    drafter = Drafter(latents, table, 0.05)
    errors = [fit_size(drafter, target, overhead)[0].error for target in (400, 700, 1200, 2000)]
    assert errors == sorted(errors, reverse=True)
