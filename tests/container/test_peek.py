"""The header and the metadata, without the rest of the file."""

from __future__ import annotations

import io

import pytest
from container_sample import DATA, ENDS, HEADER, PAYLOAD_START

from calotype.container import ChunkType, Header, peek_header_and_metadata
from calotype.errors import FormatError, TruncatedError
from calotype.limits import Limits

ICC = {ChunkType.ICC: b"profile"}
BOTH = ICC | {ChunkType.XMP: b""}


def peeked(data: bytes, limits: Limits | None = None) -> tuple[Header, dict[int, bytes]]:
    return peek_header_and_metadata(io.BytesIO(data), limits or Limits())


def test_header_and_metadata_are_read_without_the_payload() -> None:
    assert peeked(DATA) == (HEADER, BOTH)
    file = io.BytesIO(b"before" + DATA + bytes(1000))
    file.seek(6)
    assert peek_header_and_metadata(file, Limits()) == (HEADER, BOTH)


def test_the_payload_is_not_read() -> None:
    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None and 0 < size < 100
            return super().read(size)

    assert peek_header_and_metadata(Counting(DATA), Limits()) == (HEADER, BOTH)


def test_what_is_missing_is_left_out() -> None:
    for end in range(PAYLOAD_START):
        with pytest.raises(TruncatedError):
            peeked(DATA[:end])
    for end in range(PAYLOAD_START, len(DATA)):
        assert peeked(DATA[:end]) == (HEADER, ICC if end >= ENDS[2] else {})


def test_damage_is_left_out() -> None:
    damaged = bytearray(DATA)
    damaged[ENDS[2] - 1] ^= 1  # in the CRC of the profile
    assert peeked(bytes(damaged)) == (HEADER, {ChunkType.XMP: b""})
    damaged[0] ^= 1
    with pytest.raises(FormatError):
        peeked(bytes(damaged))


def test_metadata_beyond_the_limits_are_left_out() -> None:
    assert peeked(DATA, Limits(max_metadata_bytes=6)) == (HEADER, {})
    assert peeked(DATA, Limits(max_chunks=2)) == (HEADER, ICC)
    assert peeked(DATA, Limits(max_chunk_bytes=6)) == (HEADER, {})
