"""From a parsed file to its latents, in each of the two codings.

::

    lattice: payload ─ context model, rANS ─ integers ─┬─ checksum
    palette: payload ─ zlib ─ 256 colours ─ integers ──┴─ reconstruction
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, Coding, Header, Parsed, checksum, data_of, unpack_regions
from calotype.entropy import decode_integers
from calotype.errors import ChecksumError, FormatError, UnsupportedError
from calotype.latents import (
    CHANNEL_OFFSETS,
    STEPS,
    Reconstruction,
    dequantise,
    level_map,
    palette,
    reconstruct,
)
from calotype.models import encoder_name, load_table, space_named

__all__ = ["checksum_of", "decode_latents", "region_offsets", "values_of"]


def decode_latents(parsed: Parsed) -> Reconstruction:
    """The latents of a file; exact on every platform, but for the conditional means.

    Raises :class:`UnsupportedError` for ids unknown here, :class:`FormatError` for impossible regions and
    :class:`ChecksumError` or :class:`TruncatedError` unless the payload decodes to what was encoded.
    """
    header = parsed.header
    space = space_named(header.space)
    encoder_name(header.encoder)
    width, height = (-(-side // space.factor) for side in header.coded_size)
    offsets = region_offsets(parsed.chunks, height, width)
    if header.coding == Coding.PALETTE:
        if header.table:
            raise UnsupportedError(
                f"the palette coding uses no entropy tables, but the file names {header.table}"
            )
        if header.regions:
            raise FormatError("the palette coding has one quantiser for all, but the file has regions")
        integers = palette.unpack(parsed.payload, height, width)
        latents, levels = values_of(header, integers, offsets)
        found = Reconstruction(latents, levels, latents)  # no model predicts them
    else:
        levels = level_map(header.level, offsets)
        coded = decode_integers(load_table(header.table), parsed.payload, levels, STEPS, CHANNEL_OFFSETS)
        integers, found = coded.integers, reconstruct(coded, levels)
    if checksum_of(header, integers, parsed.payload) != parsed.checksum:
        raise ChecksumError("the file is damaged: its latents do not match their checksum")
    return found


def checksum_of(header: Header, integers: NDArray[np.int16], payload: bytes) -> int:
    """The checksum of a file whose ``payload`` codes ``integers`` int16[4, h, w].

    rANS gives each integer array one payload only; zlib ignores some bits of its streams, so that theirs
    is covered as well.
    """
    covered = integers.astype("<i2").tobytes()
    return checksum(header, covered + (payload if header.coding == Coding.PALETTE else b""))


def region_offsets(chunks: Sequence[Chunk], height: int, width: int) -> NDArray[np.int8]:
    """By how many levels each position is finer than the header's, int8[h, w], of the REGIONS chunk, if any.

    Where regions overlap the finest holds. Raises :class:`FormatError` for one that leaves the picture.
    """
    offsets = np.zeros((height, width), np.int8)
    data = data_of(chunks, ChunkType.REGIONS)
    for region in () if data is None else unpack_regions(data):
        if region.left + region.width > width or region.top + region.height > height:
            raise FormatError(
                f"the file has a region of {region.width}x{region.height} at {region.left}, {region.top},"
                f" which leaves its {width}x{height} latents"
            )
        part = offsets[region.top : region.top + region.height, region.left : region.left + region.width]
        np.maximum(part, region.levels, out=part)
    return offsets


def values_of(
    header: Header, integers: NDArray[np.int16], offsets: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(latents float32[4, h, w], levels int64[h, w]) that the integers of a file stand for."""
    levels = level_map(header.level, offsets)
    if header.coding == Coding.PALETTE:
        return palette.from_bytes(integers), levels
    return dequantise(integers, levels), levels
