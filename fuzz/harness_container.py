"""Header, varints and chunks: what parses can be written again, and then says the same."""

from __future__ import annotations

from common import main, refusals_are_fine, watched

with watched():
    from io import BytesIO

    from calotype.container import (
        METADATA_CHUNKS,
        ParsedFile,
        parse_file,
        peek_header_and_metadata,
        serialise_file,
    )
    from calotype.limits import Limits

LIMITS = Limits(max_chunks=8, max_chunk_bytes=256, max_metadata_bytes=300)


def rewrite(parsed: ParsedFile) -> bytes:
    return serialise_file(parsed.header, parsed.payload, parsed.checksum, parsed.chunks)


@refusals_are_fine
def one_input(data: bytes) -> None:
    parsed = parse_file(data, limits=LIMITS)
    again = parse_file(rewrite(parsed), limits=LIMITS, strict=True)
    assert (again.header, again.payload, again.checksum) == (parsed.header, parsed.payload, parsed.checksum)
    assert set(again.chunks) == set(parsed.chunks)
    assert again.size <= len(data)
    # Numbers have one encoding: a file in canonical order without anything to drop is what we would write.
    if again.chunks == parsed.chunks and not parsed.damaged:
        assert rewrite(parsed) == data
    metadata = {chunk.type: chunk.data for chunk in parsed.chunks if chunk.type in METADATA_CHUNKS}
    assert peek_header_and_metadata(BytesIO(data), LIMITS) == (parsed.header, metadata)
    strict = parse_file(data, limits=LIMITS, strict=True)
    assert strict == parsed


if __name__ == "__main__":
    main(one_input)
