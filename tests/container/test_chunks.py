from __future__ import annotations

import zlib

import pytest

from calotype.container import Chunk, ChunkInfo, ChunkType
from calotype.container.chunks import TRAILING, read_chunks, write_chunk
from calotype.container.varint import write_varint
from calotype.errors import (
    ChecksumError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from calotype.limits import Limits

ICC, EXIF, XMP = (Chunk(type_, b"abc") for type_ in (ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP))
ALPHA = Chunk(ChunkType.ALPHA, b"plane")
UNKNOWN = Chunk(0x2A, b"?")


def raw(type_: int, data: bytes = b"") -> bytes:
    """A well-framed chunk of any type, whether or not it can be written."""
    body = bytes([type_]) + write_varint(len(data)) + data
    return body + zlib.crc32(body).to_bytes(4, "little")


def damage(chunk: Chunk) -> bytes:
    data = bytearray(write_chunk(chunk))
    data[2] ^= 1
    return bytes(data)


def read(
    data: bytes, limits: Limits | None = None, strict: bool = False
) -> tuple[list[str], list[tuple[str, bool]]]:
    """(names of the intact chunks, (name, intact) of all)."""
    chunks, infos = read_chunks(data, 0, limits or Limits(), strict)
    return [chunk.name for chunk in chunks], [(info.name, info.intact) for info in infos]


def test_chunk_types_have_names() -> None:
    assert (ICC.name, ICC.critical) == ("ICC", False)
    assert (ALPHA.name, ALPHA.critical) == ("ALPHA", True)
    assert (UNKNOWN.name, UNKNOWN.critical) == ("0x2A", False)


@pytest.mark.parametrize("type_", [0, 0x80, -1, 256, 0x86, 0x81, 0xFF])
def test_chunks_that_no_reader_could_use_cannot_be_made(type_: int) -> None:
    with pytest.raises(ValueError, match=f"={type_}"):
        Chunk(type_, b"")


def test_chunks_are_read_and_listed_in_file_order() -> None:
    chunks, infos = read_chunks(b"__" + write_chunk(UNKNOWN) + write_chunk(ALPHA), 2, Limits(), True)
    assert chunks == (UNKNOWN, ALPHA)
    assert infos == (
        ChunkInfo("0x2A", 1, critical=False, intact=True),
        ChunkInfo("ALPHA", 5, critical=True, intact=True),
    )


@pytest.mark.parametrize("lost", [ICC, UNKNOWN])
def test_a_damaged_ancillary_chunk_is_dropped_and_the_next_is_read(lost: Chunk) -> None:
    data = damage(lost) + write_chunk(XMP)
    assert read(data) == (["XMP"], [(lost.name, False), ("XMP", True)])
    with pytest.raises(ChecksumError, match=lost.name):
        read(data, strict=True)


def test_a_damaged_critical_chunk_is_an_error() -> None:
    with pytest.raises(ChecksumError, match="ALPHA"):
        read(damage(ALPHA))


@pytest.mark.parametrize("type_", [0x86, 0x81, 0xFF])
def test_an_unknown_critical_chunk_is_an_error(type_: int) -> None:
    with pytest.raises(UnsupportedError, match=f"0x{type_:02X}"):
        read(raw(type_))


def test_of_repeated_chunks_the_first_usable_one_counts() -> None:
    assert read(damage(ICC) + write_chunk(ICC) + write_chunk(ICC)) == (
        ["ICC"],
        [("ICC", False), ("ICC", True), ("ICC", False)],
    )
    with pytest.raises(FormatError, match="second"):
        read(write_chunk(ICC) * 2, strict=True)
    with pytest.raises(FormatError, match="second"):
        read(write_chunk(ALPHA) * 2)


@pytest.mark.parametrize("trailing", [b"\n", b"\r\n", bytes(1), bytes(5000), b"\x2a\x80\x00", b"\x2a\x7fabc"])
def test_trailing_bytes_are_reported_and_refused_if_strict(trailing: bytes) -> None:
    chunks, infos = read_chunks(write_chunk(ICC) + trailing, 0, Limits(), False)
    assert chunks == (ICC,)
    assert infos[1:] == (ChunkInfo(TRAILING, len(trailing), critical=False, intact=False),)
    with pytest.raises(FormatError):
        read(write_chunk(ICC) + trailing, strict=True)


@pytest.mark.parametrize("chunk", [ICC, ALPHA])
def test_a_known_chunk_that_is_cut_means_a_truncated_file(chunk: Chunk) -> None:
    data = write_chunk(chunk)
    for length in range(1, len(data)):
        with pytest.raises(TruncatedError):
            read(data[:length])


def test_a_critical_chunk_of_malformed_length_is_an_error() -> None:
    with pytest.raises(FormatError, match="shortest"):
        read(b"\x84\x80\x00" + bytes(4))


def test_chunks_beyond_the_limits_are_refused() -> None:
    three = write_chunk(ICC) + write_chunk(EXIF) + write_chunk(UNKNOWN)
    just_enough = Limits(max_chunks=3, max_chunk_bytes=3, max_metadata_bytes=6)
    assert read(three, just_enough)[0] == ["ICC", "EXIF", "0x2A"]
    with pytest.raises(LimitError, match="2 chunks"):
        read(three, Limits(max_chunks=2))
    with pytest.raises(LimitError, match="at most 2 "):
        read(three, Limits(max_chunk_bytes=2))
    with pytest.raises(LimitError, match="hold 6 bytes"):
        read(three, Limits(max_metadata_bytes=5))


def test_damaged_chunks_count_towards_the_limits() -> None:
    with pytest.raises(LimitError):
        read(damage(ICC) * 65)
