from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.container import FULL_SCALE, MAGIC, Header, file_checksum, fixed_header, serialise_file
from calotype.container.header import read_header
from calotype.container.varint import write_varint
from calotype.errors import CalotypeError, FormatError, LimitError, TruncatedError, UnsupportedError
from calotype.limits import MAX_SIDE, Limits

deterministic = settings(derandomize=True, deadline=None, database=None)
ids = st.integers(0, 255)
sides = st.integers(1, MAX_SIDE)
headers = st.builds(
    Header,
    coding=st.integers(0, 1),
    space=ids,
    context_model=ids,
    encoder=ids,
    width=sides,
    height=sides,
    scale=st.one_of(st.just(FULL_SCALE), st.integers(1, 255)),
    level=st.integers(0, 127),
    noise=st.tuples(*[st.integers(0, 15)] * 4),
    grey=st.booleans(),
    alpha=st.booleans(),
    regions=st.booleans(),
)
HEADER = Header(coding=0, space=1, context_model=2, encoder=3, width=512, height=512, level=56)
UNLIMITED = Limits(max_pixels=MAX_SIDE**2)


@deterministic
@given(headers, st.binary(max_size=3))
def test_a_written_header_is_read_back(header: Header, after: bytes) -> None:
    data = fixed_header(header)
    assert 17 <= len(data) - header.scaled <= 19
    if max(header.coded_size) > MAX_SIDE:
        with pytest.raises(LimitError):
            read_header(data, UNLIMITED)
        return
    assert read_header(data + after, UNLIMITED) == (header, len(data))


@deterministic
@given(st.binary(max_size=16))
def test_arbitrary_bytes_give_a_calotype_error_or_a_header_that_writes_them(tail: bytes) -> None:
    data = MAGIC + b"\x01" + tail
    try:
        header, end = read_header(data, UNLIMITED)
    except CalotypeError:
        return
    assert fixed_header(header) == data[:end]


def test_the_header_has_the_documented_size_at_512_pixels() -> None:
    assert len(serialise_file(HEADER, bytes(5000), 0)) - 5000 == 25


@pytest.mark.parametrize(
    "field",
    [
        {"version": 2},
        {"coding": 2},
        {"coding": -1},
        {"space": 256},
        {"context_model": -1},
        {"encoder": 256},
        {"width": 0},
        {"height": MAX_SIDE + 1},
        {"scale": 0},
        {"scale": 256},
        {"level": 128},
        {"noise": (0, 0, 16, 0)},
        {"noise": (0, 0, 0)},
    ],
)
def test_a_header_out_of_range_cannot_be_made(field: dict[str, int]) -> None:
    (name,) = field
    with pytest.raises(ValueError, match=name):
        replace(HEADER, **field)


def test_a_header_holds_whole_numbers() -> None:
    with pytest.raises(TypeError):
        replace(HEADER, width=512.0)


@pytest.mark.parametrize(
    ("offset", "value", "error", "words"),
    [
        (6, 7, UnsupportedError, "version 7"),
        (6, 0, UnsupportedError, "version 0"),
        (7, 32, UnsupportedError, "flags 32"),
        (7, 0x80, UnsupportedError, "flags 128"),
        (8, 2, UnsupportedError, "coding 2"),
        (8, 255, UnsupportedError, "coding 255"),
        (16, 128, UnsupportedError, "level 128"),
    ],
)
def test_unknown_values_are_named(offset: int, value: int, error: type[Exception], words: str) -> None:
    data = bytearray(fixed_header(HEADER))
    data[offset] = value
    with pytest.raises(error, match=words):
        read_header(bytes(data), UNLIMITED)


@pytest.mark.parametrize(
    ("width", "height", "scale", "coded"),
    [
        (512, 512, FULL_SCALE, (512, 512)),
        (512, 512, 48, (384, 384)),
        (101, 70, 40, (64, 44)),
        (101, 70, 72, (114, 79)),
        (1, MAX_SIDE, 1, (1, 256)),
        (1, 64, 255, (4, 255)),
    ],
)
def test_the_coded_size_is_rounded_up(width: int, height: int, scale: int, coded: tuple[int, int]) -> None:
    header = replace(HEADER, width=width, height=height, scale=scale)
    assert header.coded_size == coded
    assert read_header(fixed_header(header), UNLIMITED)[0].coded_size == coded


@pytest.mark.parametrize(("scale", "error"), [(0, UnsupportedError), (FULL_SCALE, FormatError)])
def test_scales_that_are_not_to_be_written(scale: int, error: type[Exception]) -> None:
    data = bytearray(fixed_header(replace(HEADER, scale=200)))
    assert data[16] == 200
    data[16] = scale
    with pytest.raises(error, match=f"scale {scale}"):
        read_header(bytes(data), UNLIMITED)


def test_the_limits_hold_for_what_is_coded_too() -> None:
    data = fixed_header(replace(HEADER, scale=128))
    with pytest.raises(LimitError, match="1024x1024"):
        read_header(data, Limits(max_pixels=512 * 512))
    data = fixed_header(replace(HEADER, width=8193, height=1, scale=128))
    with pytest.raises(LimitError, match="16386x2"):
        read_header(data, UNLIMITED)


def test_an_unknown_version_is_refused_before_what_follows_is_read() -> None:
    with pytest.raises(UnsupportedError, match="version 2"):
        read_header(MAGIC + b"\x02", UNLIMITED)


def test_unknown_space_table_and_encoder_are_left_to_the_codec() -> None:
    header = replace(HEADER, space=255, context_model=254, encoder=253)
    assert read_header(fixed_header(header), UNLIMITED)[0] == header


@pytest.mark.parametrize(
    ("width", "height", "limits"),
    [
        (1 << 31, 1, UNLIMITED),
        (1, 1 << 31, UNLIMITED),
        (MAX_SIDE + 1, 1, Limits(max_side=1 << 20)),
        (MAX_SIDE, MAX_SIDE, Limits()),
        (513, 512, Limits(max_pixels=512 * 512)),
        (101, 1, Limits(max_side=100)),
    ],
)
def test_sizes_beyond_the_limits(width: int, height: int, limits: Limits) -> None:
    data = fixed_header(HEADER)
    data = data[:12] + write_varint(width - 1) + write_varint(height - 1) + data[16:]
    with pytest.raises(LimitError, match=str(max(width, height))):
        read_header(data, limits)


@pytest.mark.parametrize("length", range(17))
def test_a_truncated_header_is_an_error(length: int) -> None:
    with pytest.raises(TruncatedError, match="empty" if length == 0 else f"after {length} bytes"):
        read_header(fixed_header(HEADER)[:length], UNLIMITED)


def test_other_files_are_refused_as_no_calo_files() -> None:
    with pytest.raises(FormatError, match="starts with ff d8") as caught:
        read_header(b"\xff\xd8\xff\xe0", UNLIMITED)
    assert not isinstance(caught.value, TruncatedError)
    for new in (b"\n", b"\r\r\n"):
        with pytest.raises(FormatError, match="line endings"):
            read_header(fixed_header(HEADER).replace(b"\r\n", new), UNLIMITED)


def test_the_magic_is_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        MAGIC.decode("utf-8")
    assert b"\r\n" in MAGIC and len(MAGIC) == 6


@deterministic
@given(headers, headers, st.binary(max_size=8))
def test_the_checksum_covers_header_and_integers(first: Header, second: Header, integers: bytes) -> None:
    assert file_checksum(first, integers) == zlib.crc32(fixed_header(first) + integers)
    assert file_checksum(first, integers) != file_checksum(first, integers + b"\0")
    if first != second:
        assert file_checksum(first, integers) != file_checksum(second, integers)
