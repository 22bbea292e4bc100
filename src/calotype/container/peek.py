"""The header and the metadata of a file, without reading the rest of it."""

from __future__ import annotations

from typing import BinaryIO

from calotype.container.chunks import METADATA_CHUNKS, read_chunk_type_and_sizes, read_chunks
from calotype.container.file import MAX_START, read_layout
from calotype.container.header import Header
from calotype.errors import FormatError, LimitError
from calotype.limits import Limits

__all__ = ["peek_header_and_metadata"]


def peek_header_and_metadata(file: BinaryIO, limits: Limits) -> tuple[Header, dict[int, bytes]]:
    """Returns (header, data of the intact metadata chunks by type) of a seekable file.

    It does not read the payload and other chunks. If the file is damaged behind its header, the chunks after
    the damage are left out without an error, which :func:`calotype.container.parse_file` reports. Raises
    :class:`FormatError` and :class:`LimitError` for the header.
    """
    start = file.tell()
    layout = read_layout(file.read(MAX_START), limits)
    position = layout.end
    metadata: dict[int, bytes] = {}
    budget = limits.max_metadata_bytes
    for _ in range(limits.max_chunks):
        file.seek(start + position)
        try:
            type_, _, size = read_chunk_type_and_sizes(file.read(MAX_START))
        except FormatError:
            break
        if type_ in METADATA_CHUNKS and type_ not in metadata:
            budget -= size
            if budget < 0:
                break
            file.seek(start + position)
            try:
                chunks, _ = read_chunks(file.read(size), 0, limits, strict=False)
            except (FormatError, LimitError):
                break
            metadata |= {chunk.type: chunk.data for chunk in chunks}
        position += size
    return layout.header, metadata
