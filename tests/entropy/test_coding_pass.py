"""The walk and the stream: every latent once, exact round trips, errors for anything else."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calotype.entropy import (
    CodingPass,
    ContextModel,
    SymbolEncoder,
    decode_integers,
    read_context_model,
)
from calotype.errors import FormatError, ModelError
from calotype.latents import CHANNEL_OFFSETS, STEPS
from calotype.models import integer_product

from .conftest import model_arrays, model_file


def encode(model: ContextModel, integers: NDArray, levels: NDArray) -> bytes:
    stream = SymbolEncoder(model.tables)

    coding = CodingPass(model, levels, STEPS, CHANNEL_OFFSETS)
    while (prediction := coding.prediction) is not None:
        chosen = integers[prediction.channel, prediction.rows, prediction.columns].ravel().astype(np.int64)
        stream.put(chosen, prediction)
        coding.advance(chosen)
    assert np.array_equal(coding.result.integers, integers)
    return stream.finish()


def decode(model: ContextModel, payload: bytes, levels: NDArray) -> NDArray:
    return decode_integers(model, payload, levels, STEPS, CHANNEL_OFFSETS).integers


def test_every_latent_is_visited_once(small_model: ContextModel) -> None:
    for shape in [(1, 1), (3, 9), (8, 8), (17, 5)]:
        seen = np.zeros((4, *shape), int)

        coding = CodingPass(small_model, np.full(shape, 60), STEPS, CHANNEL_OFFSETS)
        while (prediction := coding.prediction) is not None:
            seen[prediction.channel, prediction.rows, prediction.columns] += 1
            coding.advance(np.zeros(len(prediction.step), np.int64))
        assert (seen == 1).all()


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
    payload = encode(small_model, integers, levels)
    assert np.array_equal(decode(small_model, payload, levels), integers)
    assert np.array_equal(decode(replace(small_model, product=integer_product), payload, levels), integers)


def test_blocks_do_not_change_the_bytes(small_model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.full((90, 11), 50)
    integers = np.random.default_rng(5).integers(-3, 4, (4, 90, 11)).astype(np.int16)
    payload = encode(small_model, integers, levels)
    monkeypatch.setattr("calotype.entropy.network._BLOCK_POSITIONS", 1)
    assert encode(small_model, integers, levels) == payload


@pytest.mark.slow
def test_a_changed_byte_or_a_cut_is_an_error_or_other_integers(small_model: ContextModel) -> None:
    levels = np.full((9, 9), 60)
    integers = np.random.default_rng(6).integers(-2, 3, (4, 9, 9)).astype(np.int16)
    payload = encode(small_model, integers, levels)
    for at in range(0, len(payload), 3):
        damaged = bytearray(payload)
        damaged[at] ^= 0x41
        with contextlib.suppress(FormatError):
            assert not np.array_equal(decode(small_model, bytes(damaged), levels), integers)
        with pytest.raises(FormatError):
            decode(small_model, payload[:at], levels)


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
