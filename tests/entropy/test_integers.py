"""Prefixes of a payload: exact integers as far as they determine them, predictions beyond, and no repeated
work."""

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
    coding_order,
)
from calotype.errors import ChecksumError, TruncatedError
from calotype.latents import CHANNEL_OFFSETS, STEPS

from .integer_coding import encode_integers, random_integers


def integer_decoder(model: ContextModel, size: int, levels: NDArray, spacing: int = 1) -> IntegerDecoder:
    return IntegerDecoder(model, size, levels, STEPS, CHANNEL_OFFSETS, spacing=spacing)


def missing_integers(decoded: PassResult) -> NDArray[np.bool_]:
    """bool[4, h, w]"""
    return np.zeros(decoded.integers.shape, bool) if decoded.missing is None else decoded.missing.mask


def expectations(
    model: ContextModel, levels: NDArray, integers: NDArray, known: NDArray
) -> tuple[NDArray, NDArray]:
    """(means, scales) by the definition of docs/format.md: a missing integer counts as its mean, rounded."""
    height, width = levels.shape
    full = (4, -(-height // 8) * 8, -(-width // 8) * 8)
    context = np.zeros(full, np.int8)
    guide = np.zeros((2, *full[1:]), np.int8)
    guide[0, :height, :width] = np.clip(2 * (levels - 64), -127, 127)
    guide[1, :height, :width] = 127
    means, scales = np.zeros((4, height, width), int), np.zeros((4, height, width), int)
    for net, stride, (y, x), context_offsets in coding_order(model):
        if y >= height or x >= width:
            continue
        planes = [context[:, dy::stride, dx::stride] for dy, dx in context_offsets]
        inputs = np.concatenate([*planes, guide[:, y::stride, x::stride]])
        features = net.features(inputs, model.product)
        for channel in range(4):
            positions = (channel, slice(y, height, stride), slice(x, width, stride))
            mean, scale = net.predict(
                channel, features, context[:channel, y::stride, x::stride], model.product
            )
            rows, columns = levels[positions[1:]].shape
            means[positions], scales[positions] = mean[:rows, :columns], scale[:rows, :columns]
            steps = STEPS[levels[positions[1:]] + CHANNEL_OFFSETS[channel] + 16]
            exact = (integers[positions] * steps + (1 << 17)) >> 18
            sixteenths = np.where(known[positions], exact, (means[positions] + 8) >> 4)
            context[positions] = np.clip(sixteenths, -127, 127)
    return means, scales


@pytest.mark.parametrize(
    ("spread", "level"),
    [(3, 60), *(pytest.param(*values, marks=pytest.mark.slow) for values in ((300, 60), (40, 8)))],
)
def test_a_prefix_is_exact_and_the_rest_is_predicted(
    small_model: ContextModel, spread: int, level: int
) -> None:
    integers, levels = random_integers(spread, (3, 9), level=level)
    payload = encode_integers(small_model, integers, levels)
    growing = integer_decoder(small_model, len(payload), levels)
    before = np.ones(integers.shape, bool)
    for size in range(len(payload) + 1):
        growing.feed(payload[size - 1 : size] if size else b"")
        decoded = growing.result()
        missing = missing_integers(decoded)
        assert not (missing & ~before).any()  # nothing is lost again
        assert np.array_equal(decoded.integers, np.where(missing, 0, integers))
        before = missing
        if decoded.missing is None:
            continue
        means, scales = expectations(small_model, levels, integers, ~missing)
        assert np.array_equal(decoded.missing.mean[missing], means[missing])
        assert np.array_equal(decoded.missing.scale[missing], scales[missing])
    assert growing.finished and growing.result().missing is None


@pytest.mark.slow
def test_pieces_of_any_size_give_the_same_integers(small_model: ContextModel) -> None:
    integers, levels = random_integers(100, (3, 9))
    payload = encode_integers(small_model, integers, levels)
    for size in range(0, len(payload) + 1, 5):
        once = integer_decoder(small_model, len(payload), levels)
        once.feed(payload[:size])
        pieces = integer_decoder(small_model, len(payload), levels)
        for begin in range(0, size, 7):
            pieces.feed(payload[begin : min(begin + 7, size)])
        for name in ("integers", "table_indices", "interval_symbols"):
            assert np.array_equal(getattr(once.result(), name), getattr(pieces.result(), name))
        assert np.array_equal(missing_integers(once.result()), missing_integers(pieces.result()))


@pytest.mark.slow
def test_bytes_after_a_prefix_do_not_change_its_integers(small_model: ContextModel) -> None:
    """The integers that count as arrived are determined: other bytes behind them leave them as they are."""
    integers, levels = random_integers(60, (3, 9))
    payload = encode_integers(small_model, integers, levels)
    rng = np.random.default_rng(3)
    compared = 0
    for size in range(5, len(payload) - 8, 3):
        begun = integer_decoder(small_model, len(payload), levels)
        begun.feed(payload[:size])
        known = ~missing_integers(begun.result())
        for _ in range(3):
            other = integer_decoder(small_model, len(payload), levels)
            with contextlib.suppress(ChecksumError):
                other.feed(payload[:size] + rng.bytes(6))
                decoded = other.result()
                assert not (known & missing_integers(decoded)).any()
                assert np.array_equal(decoded.integers[known], integers[known])
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
    integers, levels = random_integers(spread, shape, level=level, seed=seed)
    payload = encode_integers(small_model, integers, levels)
    cut = data.draw(st.integers(0, len(payload)))
    begun = integer_decoder(small_model, len(payload), levels)
    begun.feed(payload[:cut])
    missing = missing_integers(begun.result())
    assert np.array_equal(begun.result().integers, np.where(missing, 0, integers))
    begun.feed(payload[cut:])
    assert begun.finished
    assert np.array_equal(begun.result().integers, integers)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets the name of each network that is evaluated."""
    evaluated: list[str] = []
    for name in ("features", "predict"):
        original = getattr(SiteNet, name)

        def counted(self: SiteNet, *given: object, original: object = original, name: str = name) -> object:
            evaluated.append(name)
            return original(self, *given)  # type: ignore[operator]

        monkeypatch.setattr(SiteNet, name, counted)
    return evaluated


def test_feeding_in_pieces_evaluates_no_network_twice(
    small_model: ContextModel, evaluations: list[str]
) -> None:
    integers, levels = random_integers(3, (40, 40))
    payload = encode_integers(small_model, integers, levels)
    evaluations.clear()
    integer_decoder(small_model, len(payload), levels).feed(payload)
    once = sorted(evaluations)
    assert len(once) == 50  # ten sites, each of one trunk and four heads
    evaluations.clear()
    pieces = integer_decoder(small_model, len(payload), levels)
    size = -(-len(payload) // 20)
    for begin in range(0, len(payload), size):
        pieces.feed(payload[begin : begin + size])
    assert pieces.finished
    assert sorted(evaluations) == once


def test_an_intermediate_result_does_not_change_the_decoding(
    small_model: ContextModel, evaluations: list[str]
) -> None:
    integers, levels = random_integers(9, (3, 9))
    payload = encode_integers(small_model, integers, levels)
    looked, blind = (integer_decoder(small_model, len(payload), levels) for _ in range(2))
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
    integers, levels = random_integers(20, (17, 23))
    payload = encode_integers(small_model, integers, levels)
    evaluated: list[object] = []
    original = SiteNet.features
    monkeypatch.setattr(
        SiteNet, "features", lambda net, *given: evaluated.append(net) or original(net, *given)
    )
    coarse = integer_decoder(small_model, len(payload), levels, spacing)
    coarse.feed(payload)
    assert coarse.done and not coarse.finished
    assert len(evaluated) == {8: 1, 4: 4, 2: 7}[spacing]
    decoded = coarse.result()
    assert decoded.missing is None
    assert np.array_equal(decoded.integers, integers[:, ::spacing, ::spacing])
    whole = integer_decoder(small_model, len(payload), levels)
    whole.feed(payload)
    subsampled = whole.result().subsampled(spacing)
    for name in ("integers", "table_indices", "interval_symbols"):
        assert np.array_equal(getattr(decoded, name), getattr(subsampled, name))
    for size, enough in ((coarse.consumed, True), (coarse.consumed - 1, False)):
        begun, begun_coarse = (
            integer_decoder(small_model, len(payload), levels),
            integer_decoder(small_model, len(payload), levels, spacing),
        )
        begun.feed(payload[:size])
        begun_coarse.feed(payload[:size])
        assert begun_coarse.done == enough
        subsampled = begun.result().subsampled(spacing)
        assert (subsampled.missing is None) == enough
        if not enough:
            assert np.array_equal(missing_integers(begun_coarse.result()), missing_integers(subsampled))
            assert begun_coarse.result().missing is not None and subsampled.missing is not None
            assert np.array_equal(begun_coarse.result().missing.mean, subsampled.missing.mean)


def test_a_grid_of_one_position(small_model: ContextModel) -> None:
    integers, levels = random_integers(20, (1, 1))
    payload = encode_integers(small_model, integers, levels)
    coarse = integer_decoder(small_model, len(payload), levels, 8)
    coarse.feed(payload)
    assert coarse.done and coarse.consumed <= len(payload)
    assert np.array_equal(coarse.result().integers, integers)


def test_a_payload_that_cannot_be_right_is_refused_at_once(small_model: ContextModel) -> None:
    integers, levels = random_integers(3, (3, 9))
    payload = encode_integers(small_model, integers, levels)
    with pytest.raises(TruncatedError, match="too few"):
        integer_decoder(small_model, 3, levels)
    with pytest.raises(ChecksumError, match="incomplete"):
        integer_decoder(small_model, len(payload) + 1, levels)
    with pytest.raises(ChecksumError, match="impossible"):
        integer_decoder(small_model, len(payload), levels).feed(bytes(5))
    longer = integer_decoder(small_model, len(payload) + 2, levels)
    longer.feed(payload)
    assert not longer.finished
    with pytest.raises(ChecksumError, match="does not end"):
        longer.feed(b"ab")
    shorter = integer_decoder(small_model, len(payload) - 2, levels)
    with pytest.raises(TruncatedError, match="before the last latent"):
        shorter.feed(payload[:-2])


def test_a_pass_at_its_end_goes_no_further(small_model: ContextModel) -> None:
    state = CodingPass(small_model, np.full((1, 1), 60), STEPS, CHANNEL_OFFSETS)
    for _ in range(4):
        state.advance(np.zeros(1, np.int64), np.zeros(1, bool))
    other = state.copy()
    assert other.result.missing is not None and state.result.missing is not None
    other.result.missing.mask[:] = False
    assert state.result.missing.mask.all()
    with pytest.raises(ValueError, match="end"):
        state.advance(np.zeros(1, np.int64))
