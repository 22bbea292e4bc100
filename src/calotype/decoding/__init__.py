"""Decoding: from a file to latents, and on to the picture. It never imports ``calotype.encoding``."""

from __future__ import annotations

from calotype.decoding.arriving import ArrivingFile
from calotype.decoding.latents import (
    checksum_of,
    decode_latents,
    first_picture_size,
    region_offsets,
    values_of,
)
from calotype.decoding.pipeline import OpenedFile, decode_files, develop
from calotype.decoding.source import DataLike, read_data

__all__ = [
    "ArrivingFile",
    "DataLike",
    "OpenedFile",
    "checksum_of",
    "decode_files",
    "decode_latents",
    "develop",
    "first_picture_size",
    "read_data",
    "region_offsets",
    "values_of",
]
