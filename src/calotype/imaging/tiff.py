"""EXIF in compressed TIFF files: libtiff, as Pillow uses it, writes the main directory only."""

from __future__ import annotations

import struct

from PIL import Image
from PIL.ExifTags import Base

from calotype.imaging.metadata import DIRECTORIES, EXIF_PREFIX, read_exif_directory

__all__ = ["packed_directory", "read_entries", "tiff_with_exif"]

_HEAD = 8
_ENTRY = 12

# Tags of EXIF's main directory for the layout of pixels. They are those of a thumbnail or of another file.
_LAYOUT = {
    *range(Base.NewSubfileType, Base.ImageDescription),
    Base.StripOffsets,
    Base.SamplesPerPixel,
    Base.RowsPerStrip,
    Base.StripByteCounts,
    Base.PlanarConfiguration,
    Base.TransferFunction,
    Base.Predictor,
    Base.WhitePoint,
    Base.PrimaryChromaticities,
    Base.ColorMap,
    Base.TileWidth,
    Base.TileLength,
    Base.TileOffsets,
    Base.TileByteCounts,
    Base.SubIFDs,
    Base.ExtraSamples,
    Base.SampleFormat,
    Base.JPEGTables,
    Base.JpegIFOffset,
    Base.JpegIFByteCount,
    Base.YCbCrCoefficients,
    Base.YCbCrSubSampling,
    Base.YCbCrPositioning,
    Base.ReferenceBlackWhite,
}


def tiff_with_exif(data: bytes, exif: Image.Exif) -> bytes:
    """Adds the entries of ``exif`` to the TIFF file ``data`` of one picture.

    Entries that the file has already are kept. Raises the exceptions of Pillow for tags that it cannot write.
    """
    order = "<" if data[:2] == b"II" else ">"
    written_exif = Image.Exif()
    written_exif.endian = order
    for tag in exif:
        if tag not in _LAYOUT and tag not in DIRECTORIES:
            written_exif[tag] = exif[tag]
    for directory in DIRECTORIES:
        if entries := read_exif_directory(exif, directory):
            written_exif[directory] = entries
    data += bytes(len(data) % 2)
    # Offsets within the directory are those of its place in the file.
    added = written_exif.tobytes(len(data))[len(EXIF_PREFIX) + _HEAD :]
    added += bytes(len(added) % 2)
    (start,) = struct.unpack_from(order + "I", data, 4)
    merged = read_entries(added, 0, order)[0] | read_entries(data, start, order)[0]
    table = packed_directory(merged, 0, order)
    place = struct.pack(order + "I", len(data) + len(added))
    return data[:4] + place + data[_HEAD:] + added + table


def read_entries(data: bytes, start: int, order: str) -> tuple[dict[int, bytes], int]:
    """Returns the raw entries of the directory at ``start``, by tag, and the place of the next directory.

    ``order`` is that of :mod:`struct`. Raises ``struct.error`` if the directory leaves ``data``.
    """
    (count,) = struct.unpack_from(order + "H", data, start)
    (following,) = struct.unpack_from(order + "I", data, start + 2 + count * _ENTRY)
    entries = [data[start + 2 + i * _ENTRY :][:_ENTRY] for i in range(count)]
    return {struct.unpack_from(order + "H", entry)[0]: entry for entry in entries}, following


def packed_directory(entries: dict[int, bytes], following: int, order: str) -> bytes:
    """Returns the directory of raw entries by tag, which it sorts, and the place of the next directory."""
    table = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack(order + "H", len(entries)) + table + struct.pack(order + "I", following)
