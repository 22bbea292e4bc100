"""The coder itself: round trips, exact words, and streams that must be refused."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.entropy.rans import STATE_BYTES, NotArrivedError, RansDecoder, encode_symbols
from calotype.errors import ChecksumError, FormatError, TruncatedError

TOTAL = 1 << 16


def cumulative_of(weights: list[int]) -> list[int]:
    """Cumulative frequencies [0, ..., 65536] from positive weights."""
    scale = (TOTAL - len(weights)) / sum(weights)
    freqs = [1 + int(weight * scale) for weight in weights]
    freqs[0] += TOTAL - sum(freqs)
    cumulative = [0]
    for freq in freqs:
        cumulative.append(cumulative[-1] + freq)
    return cumulative


def messages(shortest: int = 0) -> st.SearchStrategy[tuple[list[int], list[int]]]:
    """(cumulative, symbols)"""
    return st.lists(st.integers(1, 1000), min_size=2, max_size=9).flatmap(
        lambda weights: st.tuples(
            st.just(cumulative_of(weights)),
            st.lists(st.integers(0, len(weights) - 1), min_size=shortest, max_size=shortest + 150),
        )
    )


def encode(cumulative: list[int], symbols: list[int]) -> bytes:
    return encode_symbols(
        [cumulative[s] for s in symbols], [cumulative[s + 1] - cumulative[s] for s in symbols]
    )


@given(messages())
def test_round_trip_within_five_bytes_of_the_ideal(message: tuple[list[int], list[int]]) -> None:
    cumulative, symbols = message
    data = encode(cumulative, symbols)
    decoder = RansDecoder(data)
    assert decoder.decode_symbols([cumulative] * len(symbols)) == symbols
    decoder.finish()
    ideal = sum(16 - math.log2(cumulative[s + 1] - cumulative[s]) for s in symbols) / 8
    assert len(data) <= ideal + STATE_BYTES + 0.001 * len(symbols)


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 65535)), max_size=50))
def test_bypass_bits_are_read_back(numbers: list[tuple[int, int]]) -> None:
    numbers = [(count, value & ((1 << count) - 1)) for count, value in numbers]
    starts = [value << (16 - count) for count, value in numbers]
    decoder = RansDecoder(encode_symbols(starts, [1 << (16 - count) for count, _ in numbers]))
    assert [decoder.decode_bits(count) for count, _ in numbers] == [value for _, value in numbers]
    decoder.finish()


def test_known_symbols_have_known_bytes() -> None:
    cumulative = [0, 40000, 60000, 65536]
    assert encode(cumulative, []).hex() == "0000000100"
    assert encode(cumulative, [0, 1, 2, 0, 0, 1, 2, 2, 0, 1]).hex() == EXACT


EXACT = "84936f0600a041"


@given(messages(20), st.data())
def test_damage_is_an_error_or_gives_other_symbols(
    message: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    cumulative, symbols = message
    stream = bytearray(encode(cumulative, symbols))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoder = RansDecoder(bytes(stream))
        decoded = decoder.decode_symbols([cumulative] * len(symbols))
        decoder.finish()
    except FormatError:
        return
    assert decoded != symbols


def test_every_truncation_is_an_error() -> None:
    cumulative = cumulative_of([5, 3, 1])
    symbols = [0, 1, 2, 1, 0] * 40
    stream = encode(cumulative, symbols)
    for size in range(len(stream)):
        with pytest.raises(FormatError):
            decoder = RansDecoder(stream[:size])
            decoder.decode_symbols([cumulative] * len(symbols))
            decoder.finish()


@given(messages(20))
def test_a_prefix_gives_every_symbol_that_it_determines(message: tuple[list[int], list[int]]) -> None:
    """A word is 16 bits: symbols that cost as many are read for each, and none but right ones."""
    cumulative, symbols = message
    stream = encode(cumulative, symbols)
    growing = RansDecoder(b"", len(stream))
    decoded: list[int] = []
    for size in range(len(stream) + 1):
        growing.feed(stream[size - 1 : size] if size else b"")
        assert growing.complete == (size == len(stream))
        decoded += growing.decode_symbols([cumulative] * (len(symbols) - len(decoded)))
        assert decoded == symbols[: len(decoded)]
        bits = sum(16 - math.log2(cumulative[s + 1] - cumulative[s]) for s in decoded)
        assert bits >= 16 * ((size - STATE_BYTES) // 2) - 0.01 * (1 + len(decoded))
        assert growing.consumed <= max(size, STATE_BYTES)
    growing.finish()
    assert decoded == symbols


def test_bits_that_have_not_arrived_can_be_read_later() -> None:
    numbers = [(16, 40_000), (9, 300), (0, 0), (16, 7), (16, 65_535)]
    stream = encode_symbols(
        [value << (16 - count) for count, value in numbers], [1 << (16 - n) for n, _ in numbers]
    )
    growing = RansDecoder(stream[:3], len(stream))
    decoded: list[int] = []
    for size in range(3, len(stream) + 1):
        growing.feed(stream[size : size + 1])
        mark = growing.mark()
        ahead = []
        with contextlib.suppress(NotArrivedError):
            for count, _ in numbers[len(decoded) :]:
                ahead.append(growing.decode_bits(count))
        growing.go_back(mark)
        decoded += [
            growing.decode_bits(count) for count, _ in numbers[len(decoded) : len(decoded) + len(ahead)]
        ]
        assert decoded == [value for _, value in numbers[: len(decoded)]]
    growing.finish()
    assert len(decoded) == len(numbers)


def test_refusals_name_the_cause() -> None:
    with pytest.raises(TruncatedError, match="2 bytes"):
        RansDecoder(b"\0\0")
    with pytest.raises(ChecksumError, match="incomplete"):
        RansDecoder(bytes(6))
    with pytest.raises(ChecksumError, match="impossible"):
        RansDecoder(bytes(5))
    trailing = RansDecoder(encode([0, 1, TOTAL], []) + b"\0\0")
    with pytest.raises(ChecksumError, match="does not end"):
        trailing.finish()
