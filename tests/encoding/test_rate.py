"""Rate control and RDO quantisation, on smooth random latents with the shipped tables."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.container import Header, serialise_file
from calotype.encoding.bit_budget import BitBudget, lambda_for_bits
from calotype.encoding.rate import SizeTarget, Trial, TrialEncoder, search_target_size
from calotype.entropy import ContextModel
from calotype.errors import TargetSizeError
from calotype.latents import COARSEST, FINEST, dequantise, reconstruct_latents
from calotype.models import DEFAULT_CONTEXT_MODEL, load_context_model

HEADER = Header(
    coding=0, space=1, context_model=DEFAULT_CONTEXT_MODEL, encoder=250, width=256, height=256, level=0
)


def limit(size: int) -> SizeTarget:
    return SizeTarget(size, HEADER, ())


def file_size(payload: bytes) -> int:
    return len(serialise_file(HEADER, payload, 0))


@pytest.fixture(scope="module")
def context_model() -> ContextModel:
    return load_context_model(DEFAULT_CONTEXT_MODEL)


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
@pytest.mark.parametrize("lambda_", [0.0, 0.05])
def test_targets_are_met_from_below(
    latents: NDArray[np.float32], context_model: ContextModel, target: int, lambda_: float
) -> None:
    trial, payload = search_target_size(TrialEncoder(latents, context_model, lambda_), limit(target))
    assert target * 0.98 <= file_size(payload) <= target
    assert FINEST <= trial.level <= COARSEST


def test_a_known_pass_saves_trials_and_a_wrong_one_does_no_harm(
    latents: NDArray[np.float32], context_model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, trial = [], TrialEncoder.trial

    def counted(encoder: TrialEncoder, level: int, *arguments: Any, **options: Any) -> Trial:
        tried.append(level)
        return trial(encoder, level, *arguments, **options)

    encoder = TrialEncoder(latents, context_model, 0.05)
    size = file_size(encoder.trial(80).payload())
    known = {level: encoder.trial(level).known for level in (80, 76, 20, 1, 127)}
    monkeypatch.setattr(TrialEncoder, "trial", counted)
    for first, max_trials in ((80, 1), (76, 1), (None, 3), (20, 5), (1, 5), (127, 5)):
        tried.clear()
        _, payload = search_target_size(encoder, limit(size), known.get(first or 0))
        assert size * 0.98 <= file_size(payload) <= size
        assert len(tried) <= max_trials


@pytest.mark.parametrize("saving", [0.0, 0.005, 0.02, 0.05])
@pytest.mark.parametrize("level", [48, 80, 100])
def test_a_pass_keeps_to_its_budget(
    latents: NDArray[np.float32], context_model: ContextModel, level: int, saving: float
) -> None:
    encoder = TrialEncoder(latents, context_model, 0.05)
    free = encoder.trial(level)
    budget = BitBudget((1 - saving) * free.bits, free.prediction_bits, max_lambda=1.0)
    kept = encoder.trial(level, budget=budget)
    assert 0.99 * budget.bits <= kept.bits <= budget.bits + 8
    assert (
        kept.prediction_bits[:-12] == free.prediction_bits[:-12]
    )  # only the three sites of the last grid differ


def test_a_budget_is_kept_by_the_smallest_multiplier() -> None:
    bits = np.array([4, 4, 4, 4], np.float32)
    saved = np.array([1, 2, -1, 1], np.float32)
    added = np.array([0.5, 0.2, 0.1, 0.3])  # 0.5, 0.1, never and 0.3 for each bit
    assert lambda_for_bits(16.0, bits, saved, added) == 0
    assert lambda_for_bits(15.5, bits, saved, added) == pytest.approx(0.1)
    assert lambda_for_bits(13.5, bits, saved, added) == pytest.approx(0.3)
    assert lambda_for_bits(12.0, bits, saved, added) == pytest.approx(0.5)
    assert lambda_for_bits(11.0, bits, saved, added) == np.inf


def test_a_target_beyond_the_finest_level_gets_the_finest(
    latents: NDArray[np.float32], context_model: ContextModel
) -> None:
    trial, _ = search_target_size(TrialEncoder(latents, context_model, 0.0), limit(10**6))
    assert trial.level == FINEST


@pytest.mark.parametrize("target", [10**9, 2**32 - 1, 2**50])
def test_a_large_target_takes_no_memory(context_model: ContextModel, target: int) -> None:
    encoder = TrialEncoder(np.zeros((4, 2, 2), np.float32), context_model, 0.0)
    tracemalloc.start()
    try:
        trial, _ = search_target_size(encoder, limit(target))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert trial.level == FINEST


def test_too_small_a_target_names_a_size_that_works(
    latents: NDArray[np.float32], context_model: ContextModel
) -> None:
    encoder = TrialEncoder(latents, context_model, 0.05)
    with pytest.raises(TargetSizeError) as caught:
        search_target_size(encoder, limit(27))
    assert f"{caught.value.smallest} bytes" in str(caught.value)
    _, payload = search_target_size(encoder, limit(caught.value.smallest))
    assert file_size(payload) <= caught.value.smallest


def test_a_trial_reports_its_length_and_its_error(
    latents: NDArray[np.float32], context_model: ContextModel
) -> None:
    trial = TrialEncoder(latents, context_model, 0.0).trial(60)
    assert trial.bits / 8 <= len(trial.payload()) <= trial.bits / 8 * 1.002 + 6
    reconstructed = dequantise(trial.integers, np.full((32, 32), 60))
    assert np.abs(reconstructed - latents).max() <= 0.5 * 2 ** ((60 + 3) / 16 - 5) * 1.001


def test_rdo_trades_error_for_bits(latents: NDArray[np.float32], context_model: ContextModel) -> None:
    plain = TrialEncoder(latents, context_model, 0.0).trial(64)
    better = TrialEncoder(latents, context_model, 0.1).trial(64)
    assert better.bits < 0.99 * plain.bits
    assert plain.error < better.error < 1.25 * plain.error
    price = 0.1 * 2.0 ** (2 * (64 / 16 - 5))
    assert better.error + price * better.bits < plain.error + price * plain.bits


def test_more_bytes_never_mean_more_error(latents: NDArray[np.float32], context_model: ContextModel) -> None:
    encoder = TrialEncoder(latents, context_model, 0.05)
    errors = [search_target_size(encoder, limit(target))[0].error for target in (400, 700, 1200, 2000)]
    assert errors == sorted(errors, reverse=True)


def blotches(trial: Trial, latents: NDArray[np.float32]) -> float:
    """The root mean square of the error of 4x4 positions together, in latents."""
    errors = (
        reconstruct_latents(trial.result, np.full(latents.shape[1:], trial.level)).conditional_mean - latents
    )
    return float(np.sqrt((errors.reshape(4, 8, 4, 8, 4).mean((2, 4)) ** 2).mean()))


def test_error_diffusion_reduces_errors_over_several_positions(
    latents: NDArray[np.float32], context_model: ContextModel
) -> None:
    for level, lambda_ in [(64, 0.0), (76, 0.05), (88, 0.05)]:
        trials = [
            TrialEncoder(latents, context_model, lambda_, error_diffusion=share).trial(level)
            for share in (0.0, 0.7)
        ]
        plain, fed = (blotches(trial, latents) for trial in trials)
        assert fed < 0.85 * plain
        assert trials[1].bits < 1.12 * trials[0].bits


def test_an_even_shade_between_two_steps_is_dithered(context_model: ContextModel) -> None:
    shade = np.full((4, 32, 32), 0.4 * 2.0 ** (80 / 16 - 5), np.float32)
    means = [
        TrialEncoder(shade, context_model, 0.0, error_diffusion=share).trial(80).integers[0].mean()
        for share in (0.0, 0.7)
    ]
    assert means[0] == 0  # rounded, all of them are wrong alike
    assert 0.2 < means[1] < 0.6
