"""The .calo bitstream, with the standard library only.

::

    file   = fixed header │ payload length │ checksum │ (REGIONS) │ payload │ chunk …
    chunk  = type │ length │ data │ CRC-32

    varint, field  ←  header, chunks, regions, patches, record  ←  file  ←  peek

The payload is opaque here: :mod:`calotype.entropy` codes it.
"""

from __future__ import annotations

from calotype.container.chunks import METADATA_CHUNKS, Chunk, ChunkInfo, ChunkType, chunk_data
from calotype.container.file import (
    EXTENSION,
    MAX_PAYLOAD_SIZE,
    MAX_START,
    MEDIA_TYPE,
    FileLayout,
    ParsedFile,
    file_checksum,
    file_size,
    parse_file,
    read_layout,
    serialise_file,
)
from calotype.container.header import FORMAT_VERSION, FULL_SCALE, MAGIC, Coding, Header, fixed_header
from calotype.container.patches import (
    MAX_ATLAS_SIDE,
    MAX_FEATHER,
    MAX_PATCHES,
    PatchCodec,
    Patches,
    Rectangle,
    atlas_rows,
    atlas_size,
    pack_patches,
    unpack_patches,
)
from calotype.container.peek import peek_header_and_metadata
from calotype.container.record import FidelityRecord, pack_record, unpack_record
from calotype.container.regions import Region, pack_regions, unpack_regions

__all__ = [
    "EXTENSION",
    "FORMAT_VERSION",
    "FULL_SCALE",
    "MAGIC",
    "MAX_ATLAS_SIDE",
    "MAX_FEATHER",
    "MAX_PATCHES",
    "MAX_PAYLOAD_SIZE",
    "MAX_START",
    "MEDIA_TYPE",
    "METADATA_CHUNKS",
    "Chunk",
    "ChunkInfo",
    "ChunkType",
    "Coding",
    "FidelityRecord",
    "FileLayout",
    "Header",
    "ParsedFile",
    "PatchCodec",
    "Patches",
    "Rectangle",
    "Region",
    "atlas_rows",
    "atlas_size",
    "chunk_data",
    "file_checksum",
    "file_size",
    "fixed_header",
    "pack_patches",
    "pack_record",
    "pack_regions",
    "parse_file",
    "peek_header_and_metadata",
    "read_layout",
    "serialise_file",
    "unpack_patches",
    "unpack_record",
    "unpack_regions",
]
