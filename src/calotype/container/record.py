"""The record of a picture's fidelity: how uncertain it is, and where (docs/format.md, section 3)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from calotype.container.field import Field
from calotype.errors import FormatError

__all__ = ["LEVELS", "FidelityRecord", "pack_record", "unpack_record"]

LEVELS = 4
"""The number of degrees of uncertainty in a map."""

_SMALLEST_CELL = 16
_MOST_DOUBLINGS = 10
_NO_MAP = 255
_DECODER = Field("record's decoder")
_SHARE = Field("record's score")
_CELL = Field("record's cell")


@dataclass(frozen=True)
class FidelityRecord:
    """The result of the encoder's comparison of the decoded picture with the original.

    ``decoder`` is the id of the decoder. ``invention`` and ``loss`` are scores of the whole picture, 0 to 1.
    ``map`` has a row of digits for each row of cells of ``cell`` x ``cell`` pixels of the picture to show: 0
    is certain, 3 most uncertain. It is empty, and ``cell`` 0, in a record without a map.
    """

    decoder: int
    invention: float
    loss: float
    cell: int
    map: tuple[str, ...]


def pack_record(record: FidelityRecord) -> bytes:
    """Packs a record as data of a FIDELITY chunk; scores are rounded to 1/255."""
    start = b"".join(
        field.write(value)
        for field, value in (
            (_DECODER, record.decoder),
            (_SHARE, round(255 * record.invention)),
            (_SHARE, round(255 * record.loss)),
            (_CELL, (record.cell // _SMALLEST_CELL).bit_length() - 1 if record.cell else _NO_MAP),
        )
    )
    if not record.cell:
        return start
    compressor = zlib.compressobj(9, wbits=-15)
    return start + compressor.compress(bytes(map(int, "".join(record.map)))) + compressor.flush()


def unpack_record(data: bytes, width: int, height: int) -> FidelityRecord:
    """Unpacks the data of a FIDELITY chunk of a picture of ``width`` x ``height`` pixels.

    It allocates at most the size of a map of this picture. Raises :class:`FormatError`.
    """
    position = 0
    values = []
    for field in (_DECODER, _SHARE, _SHARE, _CELL):
        value, position = field.read(data, position)
        values.append(value)
    decoder, invention, loss, doublings = values
    scores = invention / 255, loss / 255
    if doublings == _NO_MAP:
        if position < len(data):
            raise FormatError(f"the record has no map, but {len(data) - position} bytes more")
        return FidelityRecord(decoder, *scores, 0, ())
    if doublings > _MOST_DOUBLINGS:
        raise FormatError(f"the record's cell (={doublings}) must be at most {_MOST_DOUBLINGS} or {_NO_MAP}")
    cell = _SMALLEST_CELL << doublings
    columns, rows = -(-width // cell), -(-height // cell)
    levels = _inflate(data[position:], columns * rows)
    if max(levels) >= LEVELS:
        raise FormatError(f"the record's map has a level of {max(levels)}: the largest is {LEVELS - 1}")
    digits = "".join(map(str, levels))
    return FidelityRecord(
        decoder, *scores, cell, tuple(digits[row * columns : (row + 1) * columns] for row in range(rows))
    )


def _inflate(data: bytes, size: int) -> bytes:
    """Returns exactly ``size`` bytes of a DEFLATE stream. Raises :class:`FormatError`."""
    decompressor = zlib.decompressobj(-15)
    try:
        levels = decompressor.decompress(data, size + 1)
    except zlib.error as error:
        raise FormatError(f"the record's map is damaged: {error}") from error
    if len(levels) != size or not decompressor.eof or decompressor.unused_data:
        raise FormatError(f"the record's map does not have the {size} cells of this picture")
    return levels
