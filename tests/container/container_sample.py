"""A file with everything in it, the parts it was made from and where they lie."""

from __future__ import annotations

from calotype.container import Chunk, ChunkType, Header, file_checksum, serialise_file

INTEGERS = bytes(range(96))
"""What the payload is taken to stand for: int16[4, 3, 4] as bytes."""

HEADER = Header(
    coding=0,
    space=1,
    context_model=2,
    encoder=3,
    width=26,
    height=20,
    level=70,
    noise=(1, 2, 3, 4),
    alpha=True,
)
PAYLOAD = bytes(range(200, 220))
CHECKSUM = file_checksum(HEADER, INTEGERS)
CHUNKS = (
    Chunk(ChunkType.ALPHA, b"opacity"),
    Chunk(ChunkType.ICC, b"profile"),
    Chunk(0x2A, b"unknown"),
    Chunk(ChunkType.XMP, b""),
)
DATA = serialise_file(HEADER, PAYLOAD, CHECKSUM, CHUNKS)

CHECKSUM_START = 17 + 1  # fixed header, payload length
PAYLOAD_START = CHECKSUM_START + 4
ENDS = [PAYLOAD_START + len(PAYLOAD)]
"""Of the payload and of each chunk."""
for _chunk in CHUNKS:
    ENDS.append(ENDS[-1] + 1 + 1 + len(_chunk.data) + 4)
