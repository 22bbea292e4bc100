"""The coding pass: every latent once, exact round trips, errors for damaged payloads."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.entropy import (
    CodingPass,
    ContextModel,
    read_context_model,
)
from calotype.errors import FormatError, ModelError
from calotype.latents import CHANNEL_OFFSETS, STEPS
from calotype.models import integer_product

from .conftest import model_arrays, model_file
from .integer_coding import decode_payload, encode_integers, random_integers


def test_every_latent_is_visited_once(small_model: ContextModel) -> None:
    for shape in [(1, 1), (3, 9), (8, 8), (17, 5)]:
        visits = np.zeros((4, *shape), int)

        coding = CodingPass(small_model, np.full(shape, 60), STEPS, CHANNEL_OFFSETS)
        while (prediction := coding.prediction) is not None:
            visits[prediction.channel, prediction.rows, prediction.columns] += 1
            coding.advance(np.zeros(len(prediction.step), np.int64))
        assert (visits == 1).all()


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 19), st.integers(1, 19)),
    st.integers(0, 1000),
    st.sampled_from([1, 5, 60, 32767]),
    st.data(),
)
def test_round_trip_with_a_level_per_position(
    small_model: ContextModel, shape: tuple[int, int], seed: int, spread: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 128, shape) if data.draw(st.booleans()) else np.full(shape, seed % 128)
    integers = rng.integers(-spread, spread + 1, (4, *shape)).astype(np.int16)
    payload = encode_integers(small_model, integers, levels)
    assert np.array_equal(decode_payload(small_model, payload, levels), integers)
    faster_model = replace(small_model, product=integer_product)
    assert np.array_equal(decode_payload(faster_model, payload, levels), integers)


def test_the_division_of_a_product_does_not_change_the_bytes(
    small_model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    integers, levels = random_integers(3, (90, 11), level=50, seed=5)
    payload = encode_integers(small_model, integers, levels)
    monkeypatch.setattr("calotype.entropy.network._POSITIONS_PER_PRODUCT", 1)
    assert encode_integers(small_model, integers, levels) == payload


@pytest.mark.slow
def test_a_changed_byte_or_a_cut_is_an_error_or_other_integers(small_model: ContextModel) -> None:
    integers, levels = random_integers(2, (9, 9), seed=6)
    payload = encode_integers(small_model, integers, levels)
    for position in range(0, len(payload), 3):
        damaged = bytearray(payload)
        damaged[position] ^= 0x41
        with contextlib.suppress(FormatError):
            assert not np.array_equal(decode_payload(small_model, bytes(damaged), levels), integers)
        with pytest.raises(FormatError):
            decode_payload(small_model, payload[:position], levels)


def test_damaged_model_files_are_refused() -> None:
    arrays = model_arrays()
    good = model_file(arrays)
    with pytest.raises(ModelError, match="damaged"):
        read_context_model(good[:-100])
    with pytest.raises(ModelError, match="damaged"):
        read_context_model(b"not a model")
    with pytest.raises(ModelError, match="too short"):
        read_context_model(model_file(arrays | {"weight": arrays["weight"][:-1]}))
    with pytest.raises(ModelError, match="too long"):
        read_context_model(model_file(arrays | {"bias": np.append(arrays["bias"], 0)}))
    with pytest.raises(ModelError, match="widths"):
        read_context_model(model_file(arrays | {"widths": np.array([4, 6])}))
    without = {name: array for name, array in arrays.items() if name != "bias"}
    with pytest.raises(ModelError, match="damaged"):
        read_context_model(model_file(without))
