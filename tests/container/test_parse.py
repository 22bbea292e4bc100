from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from container_sample import (
    CHECKSUM,
    CHECKSUM_START,
    CHUNKS,
    DATA,
    ENDS,
    HEADER,
    INTEGERS,
    PAYLOAD,
    PAYLOAD_START,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.container import (
    Chunk,
    ChunkType,
    Header,
    Region,
    file_checksum,
    file_size,
    fixed_header,
    pack_regions,
    parse_file,
    serialise_file,
)
from calotype.container.chunks import write_chunk
from calotype.container.varint import write_varint
from calotype.errors import CalotypeError, FormatError, LimitError, TruncatedError
from calotype.limits import MAX_SIDE, Limits

deterministic = settings(derandomize=True, deadline=None, database=None)
LIMITS = Limits()
ancillary = st.lists(
    st.builds(Chunk, st.integers(1, 127), st.binary(max_size=40)),
    unique_by=lambda chunk: chunk.type,
    max_size=6,
)


@deterministic
@given(
    st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    st.binary(max_size=300),
    st.integers(0, 2**32 - 1),
    ancillary,
    st.none() | st.builds(Chunk, st.just(ChunkType.ALPHA), st.binary(max_size=40)),
)
def test_a_serialised_file_is_parsed_back(
    size: tuple[int, int], payload: bytes, stored: int, chunks: list[Chunk], alpha: Chunk | None
) -> None:
    header = Header(
        coding=1,
        space=1,
        context_model=2,
        encoder=3,
        width=size[0],
        height=size[1],
        level=9,
        alpha=alpha is not None,
    )
    critical = [alpha] if alpha else []
    data = serialise_file(header, payload, stored, [*chunks, *critical])
    assert file_size(header, len(payload), [*chunks, *critical]) == len(data)
    parsed = parse_file(data, limits=LIMITS, strict=True)
    assert parsed.header == header
    assert (parsed.payload, parsed.checksum, parsed.size) == (payload, stored, len(data))
    # Critical chunks come first, the others in the order given.
    assert parsed.chunks == (*critical, *chunks)
    assert parsed.damaged == ()
    assert parsed.chunk(ChunkType.ALPHA) == (alpha.data if alpha else None)


@deterministic
@given(st.binary(max_size=60))
def test_arbitrary_bytes_behind_a_header_give_a_calotype_error_or_a_file(tail: bytes) -> None:
    header = Header(coding=0, space=1, context_model=2, encoder=3, width=8, height=8, level=9)
    try:
        parsed = parse_file(fixed_header(header) + tail, limits=LIMITS)
    except CalotypeError:
        return
    assert parsed.header == header


def test_every_truncation_is_an_error_or_drops_ancillary_chunks() -> None:
    tolerated = {}
    for length in range(len(DATA)):
        try:
            parsed = parse_file(DATA[:length], limits=LIMITS)
        except TruncatedError:
            continue
        tolerated[length] = parsed.damaged
        assert parsed.header == HEADER
        assert (parsed.payload, parsed.checksum) == (PAYLOAD, CHECKSUM)
        assert parsed.chunks == CHUNKS[: len(parsed.chunks)] and parsed.chunks[0].critical
    _, alpha, icc, unknown, _ = ENDS
    # Only a cut behind the critical chunk, at an end of a chunk or within the unknown one, is no error.
    trailing = dict.fromkeys(range(icc + 1, unknown), ("TRAILING",))
    assert tolerated == {alpha: (), icc: (), unknown: ()} | trailing


def test_every_truncation_in_strict_mode() -> None:
    for length in set(range(len(DATA))) - set(ENDS[1:]):
        with pytest.raises(TruncatedError):
            parse_file(DATA[:length], limits=LIMITS, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_every_changed_byte_is_noticed(strict: bool) -> None:
    payload_end = ENDS[0]
    for position in range(len(DATA)):
        for value in set(range(256)) - {DATA[position]}:
            changed = bytearray(DATA)
            changed[position] = value
            try:
                parsed = parse_file(bytes(changed), limits=LIMITS, strict=strict)
            except CalotypeError:
                continue
            assert position < payload_end or (not strict and parsed.damaged)
            assert [chunk for chunk in parsed.chunks if chunk.critical] == [CHUNKS[0]]
            assert set(parsed.chunks) <= set(CHUNKS)
            # A change of the header or of the checksum is seen once the payload has been decoded.
            intact = file_checksum(parsed.header, INTEGERS) == parsed.checksum
            assert intact == (position >= PAYLOAD_START)
            assert (parsed.header == HEADER) == (position >= CHECKSUM_START)
            assert (parsed.payload == PAYLOAD) == (not PAYLOAD_START <= position < payload_end)


def test_alpha_is_announced_by_the_header() -> None:
    without = DATA[: ENDS[0]] + DATA[ENDS[1] :]
    with pytest.raises(TruncatedError, match="ALPHA"):
        parse_file(without, limits=LIMITS)
    unannounced = bytearray(DATA)
    unannounced[7] &= ~2
    with pytest.raises(FormatError, match="ALPHA"):
        parse_file(bytes(unannounced), limits=LIMITS)


def test_regions_are_announced_by_the_header() -> None:
    chunk = Chunk(ChunkType.REGIONS, pack_regions([Region(0, 0, 1, 1, 8)]))
    header = replace(HEADER, alpha=False, regions=True)
    data = serialise_file(header, PAYLOAD, 0, [chunk])
    assert parse_file(data, limits=LIMITS).chunks == (chunk,)
    with pytest.raises(TruncatedError, match="REGIONS"):
        parse_file(data[: -len(write_chunk(chunk))], limits=LIMITS)
    with pytest.raises(FormatError, match="REGIONS"):
        parse_file(data[:7] + bytes([data[7] & ~8]) + data[8:], limits=LIMITS)
    with pytest.raises(ValueError, match="regions"):
        serialise_file(header, PAYLOAD, 0)


def test_huge_claims_fail_before_anything_is_allocated() -> None:
    header = fixed_header(replace(HEADER, alpha=False, width=512, height=512))
    head, tail = header[:12], header[16:]
    behind = b"\x00" + bytes(4)
    chunk = header + behind + b"\x01"
    claims = [
        (head + write_varint((1 << 31) - 1) + b"\x00" + tail + behind, LimitError),
        (head + write_varint(MAX_SIDE - 1) * 2 + tail + behind, LimitError),
        (header + write_varint((1 << 32) - 1) + bytes(4), TruncatedError),
        (chunk + write_varint((1 << 32) - 1) + bytes(4), TruncatedError),
        (chunk + write_varint(20_000_000) + bytes(20_000_004), LimitError),
    ]
    for data, error in claims:
        tracemalloc.start()
        try:
            with pytest.raises(error):
                parse_file(data, limits=LIMITS)
            assert tracemalloc.get_traced_memory()[1] < 100_000
        finally:
            tracemalloc.stop()


def test_invalid_files_are_not_serialised() -> None:
    opaque = replace(HEADER, alpha=False)
    with pytest.raises(ValueError, match="alpha"):
        serialise_file(opaque, b"", 0, CHUNKS)
    with pytest.raises(ValueError, match="alpha"):
        serialise_file(HEADER, b"", 0)
    with pytest.raises(ValueError, match="one chunk of a type"):
        serialise_file(opaque, b"", 0, [Chunk(1, b"a"), Chunk(1, b"b")])
    with pytest.raises(ValueError, match="checksum"):
        serialise_file(opaque, b"", 1 << 32)
