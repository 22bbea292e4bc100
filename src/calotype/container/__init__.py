"""The .calo bitstream, with the standard library only.

::

    file   = fixed header │ payload length │ checksum │ (REGIONS) │ payload │ chunk …
    chunk  = type │ length │ data │ CRC-32

    varint, field  ←  header, chunks, regions  ←  file  ←  peek

The payload is opaque here: :mod:`calotype.entropy` codes it.
"""

from __future__ import annotations

from calotype.container.chunks import METADATA_CHUNKS, Chunk, ChunkInfo, ChunkType, data_of
from calotype.container.file import (
    EXTENSION,
    MAX_START,
    MEDIA_TYPE,
    Layout,
    Parsed,
    checksum,
    parse,
    read_layout,
    serialise,
)
from calotype.container.header import FORMAT_VERSION, FULL_SCALE, MAGIC, Coding, Header, fixed_header
from calotype.container.peek import peek
from calotype.container.regions import Region, pack_regions, unpack_regions

__all__ = [
    "EXTENSION",
    "FORMAT_VERSION",
    "FULL_SCALE",
    "MAGIC",
    "MAX_START",
    "MEDIA_TYPE",
    "METADATA_CHUNKS",
    "Chunk",
    "ChunkInfo",
    "ChunkType",
    "Coding",
    "Header",
    "Layout",
    "Parsed",
    "Region",
    "checksum",
    "data_of",
    "fixed_header",
    "pack_regions",
    "parse",
    "peek",
    "read_layout",
    "serialise",
    "unpack_regions",
]
