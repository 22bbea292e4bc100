from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.cli.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5000", 5000),
        ("1", 1),
        ("5000B", 5000),
        ("5kB", 5000),
        ("5KiB", 5120),
        ("5 KiB", 5120),
        ("4.97KiB", 5089),
        ("1.5MB", 1_500_000),
        ("2MiB", 2_097_152),
        ("5KB", 5000),
        ("5kib", 5120),
        (" 007b ", 7),
        ("0.0015 MB", 1500),
    ],
)
def test_sizes_with_and_without_units(text: str, size: int) -> None:
    assert parse_size(text) == size


ARABIC_FIVE = chr(0x665)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kB",
        "-5",
        "+5",
        "5k",
        "5K",
        "5M",
        "5GB",
        "5 000",
        "5,000",
        "5_000",
        "1e3",
        "0x10",
        "5.",
        ".5kB",
        "nan",
        "inf",
        "5kB5",
        "5  kB",
        "5\nkB",
        "9" * 16,
        ARABIC_FIVE,
    ],
)
def test_anything_else_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: write 5000, 5kB or"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "0kB", "0.9", "0.0001kB"])
def test_less_than_one_byte_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="less than one byte"):
        parse_size(text)


@given(st.integers(1, 10**15 - 1), st.sampled_from([("", 1), ("kB", 1000), ("KiB", 1024), ("MiB", 1 << 20)]))
def test_whole_numbers_are_exact(number: int, unit: tuple[str, int]) -> None:
    assert parse_size(f"{number}{unit[0]}") == number * unit[1]


@pytest.mark.slow
@given(st.text(max_size=12))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        assert parse_size(text) >= 1
    except ValueError as error:
        assert repr(text) in str(error)
