from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.container.varint import MAX_VARINT, read_varint, write_varint
from calotype.errors import FormatError, TruncatedError

deterministic = settings(derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (511, "ff03"), (5000, "8827"), (MAX_VARINT, "ffffffff0f")],
)
def test_known_numbers_have_their_documented_bytes(value: int, encoded: str) -> None:
    assert write_varint(value).hex() == encoded


@deterministic
@given(st.integers(0, MAX_VARINT), st.binary(max_size=4), st.binary(max_size=4))
def test_reads_what_it_wrote_and_no_further(value: int, before: bytes, after: bytes) -> None:
    encoded = write_varint(value)
    assert read_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))
    with pytest.raises(TruncatedError):
        read_varint(encoded[:-1], 0)


@deterministic
@given(st.binary(min_size=1, max_size=6))
def test_a_longer_form_of_a_number_is_refused(data: bytes) -> None:
    try:
        value, end = read_varint(data, 0)
    except FormatError:
        return
    assert write_varint(value) == data[:end]


@pytest.mark.parametrize(
    "data", [b"\x80\x00", b"\xff\x80\x00", b"\xff\xff\xff\xff\x10", b"\x80" * 5 + b"\x01"]
)
def test_refuses_long_forms_and_large_values(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        read_varint(data, 0)
    assert not isinstance(caught.value, TruncatedError)


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1])
def test_refuses_to_write_values_out_of_range(value: int) -> None:
    with pytest.raises(ValueError, match=str(value)):
        write_varint(value)
