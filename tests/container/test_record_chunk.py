"""The record of a picture's fidelity: packed records are unpacked, and inconsistent ones are refused."""

from __future__ import annotations

import zlib

import pytest

from calotype.container import FidelityRecord, pack_record, unpack_record
from calotype.errors import FormatError

RECORD = FidelityRecord(240, 102 / 255, 51 / 255, 32, ("0013", "0000", "2200"))
SIZE = 4 * 32 - 5, 3 * 32 - 31


def stream(levels: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return compressor.compress(levels) + compressor.flush()


def test_what_is_packed_is_unpacked() -> None:
    assert unpack_record(pack_record(RECORD), *SIZE) == RECORD
    bare = FidelityRecord(241, 1.0, 0.0, 0, ())
    assert pack_record(bare) == bytes([241, 255, 0, 255])
    assert unpack_record(pack_record(bare), *SIZE) == bare


def test_the_bytes_are_those_of_the_format() -> None:
    levels = bytes([0, 0, 1, 3, 0, 0, 0, 0, 2, 2, 0, 0])
    assert pack_record(RECORD)[:4] == bytes([240, 102, 51, 1])
    assert unpack_record(bytes([240, 102, 51, 1]) + stream(levels), *SIZE) == RECORD


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "ends"),
        (bytes([240, 0, 0]), "ends"),
        (bytes([240, 0, 0, 255, 0]), "no map, but 1 bytes more"),
        (bytes([240, 0, 0, 11]) + stream(bytes(1)), "must be at most 10 or 255"),
        (bytes([240, 0, 0, 1]), "12 cells"),
        (bytes([240, 0, 0, 1]) + stream(bytes(11)), "12 cells"),
        (bytes([240, 0, 0, 1]) + stream(bytes(1 << 24)), "12 cells"),
        (bytes([240, 0, 0, 1]) + stream(bytes(12)) + b"x", "12 cells"),
        (bytes([240, 0, 0, 1]) + stream(bytes([4] * 12)), "level of 4"),
        (bytes([240, 0, 0, 1]) + b"\xff\xff", "damaged"),
    ],
)
def test_an_inconsistent_record_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        unpack_record(data, *SIZE)
