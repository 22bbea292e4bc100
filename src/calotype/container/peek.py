"""The header and the metadata of a file, without reading the rest of it."""

from __future__ import annotations

from typing import BinaryIO

from calotype.container.chunks import METADATA_CHUNKS, chunk_frame_size, read_chunks
from calotype.container.file import MAX_START, read_layout
from calotype.container.header import Header
from calotype.errors import FormatError, LimitError
from calotype.limits import Limits

__all__ = ["peek_header_and_metadata"]


def peek_header_and_metadata(file: BinaryIO, limits: Limits) -> tuple[Header, dict[int, bytes]]:
    """(the header, the data of the intact metadata chunks by their type) of a file that can seek.

    Payload and other chunks are passed over unread. Where the file is damaged behind its header, which
    :func:`calotype.container.parse_file` tells, what comes after is missing. Raises :class:`FormatError` and
    :class:`LimitError` for the header.
    """
    start = file.tell()
    layout = read_layout(file.read(MAX_START), limits)
    position = layout.end
    found: dict[int, bytes] = {}
    budget = limits.max_metadata_bytes
    for _ in range(limits.max_chunks):
        file.seek(start + position)
        try:
            type_, _, size = chunk_frame_size(file.read(MAX_START))
        except FormatError:
            break
        if type_ in METADATA_CHUNKS and type_ not in found:
            budget -= size
            if budget < 0:
                break
            file.seek(start + position)
            try:
                chunks, _ = read_chunks(file.read(size), 0, limits, strict=False)
            except (FormatError, LimitError):
                break
            found |= {chunk.type: chunk.data for chunk in chunks}
        position += size
    return layout.header, found
