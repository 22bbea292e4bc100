"""Decoding: from a file to latents, and on to the picture. It never imports ``calotype.encoding``."""

from __future__ import annotations

from calotype.decoding.latents import checksum_of, decode_latents, region_offsets, values_of
from calotype.decoding.pipeline import OpenedFile, decode_files
from calotype.decoding.source import DataLike, read_data

__all__ = [
    "DataLike",
    "OpenedFile",
    "checksum_of",
    "decode_files",
    "decode_latents",
    "read_data",
    "region_offsets",
    "values_of",
]
