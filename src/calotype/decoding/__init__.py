"""Decoding: from a file to latents, and on to the picture. It never imports ``calotype.encoding``."""

from __future__ import annotations

from calotype.decoding.arriving import ArrivingFile
from calotype.decoding.latents import (
    decode_latents,
    first_picture_size,
    integers_checksum,
    latents_and_levels,
    region_refinements,
)
from calotype.decoding.pipeline import OpenedFile, decode_files, decode_opened_files
from calotype.decoding.thumbnail import plan_thumbnail

__all__ = [
    "ArrivingFile",
    "OpenedFile",
    "decode_files",
    "decode_latents",
    "decode_opened_files",
    "first_picture_size",
    "integers_checksum",
    "latents_and_levels",
    "plan_thumbnail",
    "region_refinements",
]
