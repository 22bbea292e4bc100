"""Prefixes of a payload: exact as far as they go, the model's expectation beyond, no work done twice."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calotype.entropy import (
    CodingPass,
    ContextModel,
    IntegerDecoder,
    PassResult,
    SiteNet,
    SymbolEncoder,
    coding_order,
)
from calotype.errors import ChecksumError, TruncatedError
from calotype.latents import CHANNEL_OFFSETS, STEPS


def encode(model: ContextModel, integers: NDArray, levels: NDArray) -> bytes:
    """The payload of int16[4, h, w] at int64[h, w]."""
    stream = SymbolEncoder(model.tables)
    state = CodingPass(model, levels, STEPS, CHANNEL_OFFSETS)
    while (prediction := state.prediction) is not None:
        chosen = integers[prediction.channel, prediction.rows, prediction.columns].ravel().astype(np.int64)
        stream.put(chosen, prediction)
        state.advance(chosen)
    return stream.finish()


def decoder(model: ContextModel, size: int, levels: NDArray, spacing: int = 1) -> IntegerDecoder:
    return IntegerDecoder(model, size, levels, STEPS, CHANNEL_OFFSETS, spacing=spacing)


def unknown(found: PassResult) -> NDArray[np.bool_]:
    """bool[4, h, w]"""
    return np.zeros(found.integers.shape, bool) if found.missing is None else found.missing.unknown


def sample(spread: int = 3, shape: tuple[int, int] = (3, 9), level: int = 60) -> tuple[NDArray, NDArray]:
    """(integers, levels)"""
    rng = np.random.default_rng(8)
    return rng.integers(-spread, spread + 1, (4, *shape)).astype(np.int16), np.full(shape, level)


def expectations(
    model: ContextModel, levels: NDArray, integers: NDArray, known: NDArray
) -> tuple[NDArray, NDArray]:
    """(means, scales) by the definition of docs/format.md: what is not known counts as its mean, rounded."""
    height, width = levels.shape
    full = (4, -(-height // 8) * 8, -(-width // 8) * 8)
    context = np.zeros(full, np.int8)
    guide = np.zeros((2, *full[1:]), np.int8)
    guide[0, :height, :width] = np.clip(2 * (levels - 64), -127, 127)
    guide[1, :height, :width] = 127
    means, scales = np.zeros((4, height, width), int), np.zeros((4, height, width), int)
    for net, stride, (y, x), before in coding_order(model):
        if y >= height or x >= width:
            continue
        planes = [context[:, dy::stride, dx::stride] for dy, dx in before]
        inputs = np.concatenate([*planes, guide[:, y::stride, x::stride]])
        features = net.features(inputs, model.product)
        for channel in range(4):
            at = (channel, slice(y, height, stride), slice(x, width, stride))
            mean, scale = net.predict(
                channel, features, context[:channel, y::stride, x::stride], model.product
            )
            rows, columns = levels[at[1:]].shape
            means[at], scales[at] = mean[:rows, :columns], scale[:rows, :columns]
            steps = STEPS[levels[at[1:]] + CHANNEL_OFFSETS[channel] + 16]
            exact = (integers[at] * steps + (1 << 17)) >> 18
            seen = np.where(known[at], exact, (means[at] + 8) >> 4)
            context[at] = np.clip(seen, -127, 127)
    return means, scales


@pytest.mark.parametrize(
    ("spread", "level"),
    [(3, 60), *(pytest.param(*rest, marks=pytest.mark.slow) for rest in ((300, 60), (40, 8)))],
)
def test_every_prefix_is_exact_and_then_what_the_model_expects(
    small_model: ContextModel, spread: int, level: int
) -> None:
    integers, levels = sample(spread, level=level)
    payload = encode(small_model, integers, levels)
    growing = decoder(small_model, len(payload), levels)
    before = np.ones(integers.shape, bool)
    for size in range(len(payload) + 1):
        growing.feed(payload[size - 1 : size] if size else b"")
        found = growing.result()
        missing = unknown(found)
        assert not (missing & ~before).any()  # nothing is lost again
        assert np.array_equal(found.integers, np.where(missing, 0, integers))
        before = missing
        if found.missing is None:
            continue
        means, scales = expectations(small_model, levels, integers, ~missing)
        assert np.array_equal(found.missing.mean[missing], means[missing])
        assert np.array_equal(found.missing.scale[missing], scales[missing])
    assert growing.finished and growing.result().missing is None


@pytest.mark.slow
def test_pieces_of_any_size_give_what_one_gives(small_model: ContextModel) -> None:
    integers, levels = sample(100)
    payload = encode(small_model, integers, levels)
    for size in range(0, len(payload) + 1, 5):
        once = decoder(small_model, len(payload), levels)
        once.feed(payload[:size])
        pieces = decoder(small_model, len(payload), levels)
        for begin in range(0, size, 7):
            pieces.feed(payload[begin : min(begin + 7, size)])
        for name in ("integers", "table_indices", "symbols"):
            assert np.array_equal(getattr(once.result(), name), getattr(pieces.result(), name))
        assert np.array_equal(unknown(once.result()), unknown(pieces.result()))


@pytest.mark.slow
def test_what_follows_a_prefix_does_not_matter_to_it(small_model: ContextModel) -> None:
    """The integers that count as arrived are determined: other bytes behind them leave them as they are."""
    integers, levels = sample(60)
    payload = encode(small_model, integers, levels)
    rng = np.random.default_rng(3)
    compared = 0
    for size in range(5, len(payload) - 8, 3):
        begun = decoder(small_model, len(payload), levels)
        begun.feed(payload[:size])
        known = ~unknown(begun.result())
        for _ in range(3):
            other = decoder(small_model, len(payload), levels)
            with contextlib.suppress(ChecksumError):
                other.feed(payload[:size] + rng.bytes(6))
                found = other.result()
                assert not (known & unknown(found)).any()
                assert np.array_equal(found.integers[known], integers[known])
                compared += 1
    assert compared > len(payload) // 2


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(st.integers(1, 17), st.integers(1, 17)),
    st.integers(0, 127),
    st.sampled_from([1, 30, 32767]),
    st.integers(0, 1000),
    st.data(),
)
def test_any_prefix_of_any_latents(
    small_model: ContextModel,
    shape: tuple[int, int],
    level: int,
    spread: int,
    seed: int,
    data: st.DataObject,
) -> None:
    integers = np.random.default_rng(seed).integers(-spread, spread + 1, (4, *shape)).astype(np.int16)
    levels = np.full(shape, level)
    payload = encode(small_model, integers, levels)
    cut = data.draw(st.integers(0, len(payload)))
    begun = decoder(small_model, len(payload), levels)
    begun.feed(payload[:cut])
    missing = unknown(begun.result())
    assert np.array_equal(begun.result().integers, np.where(missing, 0, integers))
    begun.feed(payload[cut:])
    assert begun.finished
    assert np.array_equal(begun.result().integers, integers)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets the name of each network that is evaluated."""
    seen: list[str] = []
    for name in ("features", "predict"):
        original = getattr(SiteNet, name)

        def counted(self: SiteNet, *given: object, original: object = original, name: str = name) -> object:
            seen.append(name)
            return original(self, *given)  # type: ignore[operator]

        monkeypatch.setattr(SiteNet, name, counted)
    return seen


def test_feeding_in_pieces_evaluates_no_network_twice(
    small_model: ContextModel, evaluations: list[str]
) -> None:
    integers, levels = sample(shape=(40, 40))
    payload = encode(small_model, integers, levels)
    evaluations.clear()
    decoder(small_model, len(payload), levels).feed(payload)
    once = sorted(evaluations)
    assert len(once) == 50  # ten coding_order: a trunk and four heads each
    evaluations.clear()
    pieces = decoder(small_model, len(payload), levels)
    size = -(-len(payload) // 20)
    for begin in range(0, len(payload), size):
        pieces.feed(payload[begin : begin + size])
    assert pieces.finished
    assert sorted(evaluations) == once


def test_looking_at_it_does_not_disturb_it(small_model: ContextModel, evaluations: list[str]) -> None:
    integers, levels = sample(9)
    payload = encode(small_model, integers, levels)
    looked, blind = (decoder(small_model, len(payload), levels) for _ in range(2))
    for begin in range(0, len(payload), 11):
        looked.feed(payload[begin : begin + 11])
        evaluations.clear()
        looked.result()
        assert len(evaluations) < 50  # what is decoded already is not predicted again
        blind.feed(payload[begin : begin + 11])
    assert np.array_equal(looked.result().integers, blind.result().integers)


@pytest.mark.parametrize("spacing", [2, 4, 8])
def test_a_grid_is_decoded_alone(
    small_model: ContextModel, spacing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the integers of the whole, no more of the payload than it takes, and no network of a finer one."""
    integers, levels = sample(20, shape=(17, 23))
    payload = encode(small_model, integers, levels)
    evaluated: list[object] = []
    original = SiteNet.features
    monkeypatch.setattr(
        SiteNet, "features", lambda net, *given: evaluated.append(net) or original(net, *given)
    )
    coarse = decoder(small_model, len(payload), levels, spacing)
    coarse.feed(payload)
    assert coarse.done and not coarse.finished
    assert len(evaluated) == {8: 1, 4: 4, 2: 7}[spacing]
    found = coarse.result()
    assert found.missing is None
    assert np.array_equal(found.integers, integers[:, ::spacing, ::spacing])
    whole = decoder(small_model, len(payload), levels)
    whole.feed(payload)
    thinned = whole.result().thinned(spacing)
    for name in ("integers", "table_indices", "symbols"):
        assert np.array_equal(getattr(found, name), getattr(thinned, name))
    for taken, enough in ((coarse.consumed, True), (coarse.consumed - 1, False)):
        begun, begun_coarse = (
            decoder(small_model, len(payload), levels),
            decoder(small_model, len(payload), levels, spacing),
        )
        begun.feed(payload[:taken])
        begun_coarse.feed(payload[:taken])
        assert begun_coarse.done == enough
        thinned = begun.result().thinned(spacing)
        assert (thinned.missing is None) == enough
        if not enough:
            assert np.array_equal(unknown(begun_coarse.result()), unknown(thinned))
            assert begun_coarse.result().missing is not None and thinned.missing is not None
            assert np.array_equal(begun_coarse.result().missing.mean, thinned.missing.mean)


def test_a_lattice_of_one_position(small_model: ContextModel) -> None:
    integers, levels = sample(20, shape=(1, 1))
    payload = encode(small_model, integers, levels)
    coarse = decoder(small_model, len(payload), levels, 8)
    coarse.feed(payload)
    assert coarse.done and coarse.consumed <= len(payload)
    assert np.array_equal(coarse.result().integers, integers)


def test_a_payload_that_cannot_be_right_is_refused_at_once(small_model: ContextModel) -> None:
    integers, levels = sample()
    payload = encode(small_model, integers, levels)
    with pytest.raises(TruncatedError, match="too few"):
        decoder(small_model, 3, levels)
    with pytest.raises(ChecksumError, match="odd"):
        decoder(small_model, len(payload) + 1, levels)
    with pytest.raises(ChecksumError, match="impossible"):
        decoder(small_model, len(payload), levels).feed(bytes(5))
    longer = decoder(small_model, len(payload) + 2, levels)
    longer.feed(payload)
    assert not longer.finished
    with pytest.raises(ChecksumError, match="does not end"):
        longer.feed(b"ab")
    shorter = decoder(small_model, len(payload) - 2, levels)
    with pytest.raises(TruncatedError, match="before the last latent"):
        shorter.feed(payload[:-2])


def test_a_pass_at_its_end_goes_no_further(small_model: ContextModel) -> None:
    state = CodingPass(small_model, np.full((1, 1), 60), STEPS, CHANNEL_OFFSETS)
    for _ in range(4):
        state.advance(np.zeros(1, np.int64), np.zeros(1, bool))
    other = state.copy()
    assert other.result.missing is not None and state.result.missing is not None
    other.result.missing.unknown[:] = False
    assert state.result.missing.unknown.all()
    with pytest.raises(ValueError, match="end"):
        state.advance(np.zeros(1, np.int64))
