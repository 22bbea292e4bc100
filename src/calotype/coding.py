"""Latents to whole files and back, in each of the two codings.

::

    latents ─┬─ lattice: quantise (level, strength) ─ integers ─ context model, rANS ─┬─ container
             └─ palette: 8 bits ─ 256 colours, dithered ─ zlib ───────────────────────┘

What is common: the checksum over the integers, and that a file is read back before it is let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import (
    Chunk,
    ChunkType,
    Coding,
    Header,
    Parsed,
    checksum,
    data_of,
    parse,
    serialise,
    unpack_regions,
)
from calotype.entropy import decode_integers
from calotype.errors import CalotypeError, ChecksumError, FormatError, UnsupportedError
from calotype.latents import (
    CASCADES,
    LEVEL_OFFSETS,
    STEPS,
    Dequantised,
    Draft,
    Drafter,
    dequantise,
    dequantise_walked,
    fit_size,
    level_map,
    level_of_deviation,
    level_of_quality,
    noise_codes,
    palette,
    step_of,
)
from calotype.limits import Limits
from calotype.models import encoder_name, load_table, space_named
from calotype.options import DEFAULT_QUALITY, EncodeOptions

__all__ = [
    "READ_BACK",
    "Written",
    "decode_latents",
    "encode_latents",
    "finer_of",
    "quantise_latents",
    "target_of",
    "write_file",
    "write_latents",
]

STRENGTH = 0.05
"""Nominal rate-distortion strength (see ``latents.rdo``), from effort 5 up."""

FEEDBACK = 0.5
"""Share of its neighbours' error that a latent makes up for, likewise."""

READ_BACK = Limits(max_pixels=1 << 28, max_chunk_bytes=1 << 32, max_metadata_bytes=1 << 32)
"""For what was just written: the caller's own limits have had their say."""


@dataclass(frozen=True, eq=False)
class Written:
    """A file, its header, and what its latents are when it is read."""

    data: bytes
    header: Header
    found: Dequantised


def encode_latents(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: tuple[Chunk, ...] = ()
) -> bytes:
    """Latents float32[4, h, w] of any encoder of the space to a file; ``header`` gives coding, ids, sizes.

    Where the options ask for a size, the header's level is where the search begins, unless it is 0. The file
    is decoded again and compared before it is returned. Raises :class:`TargetSizeError`.
    """
    return write_latents(latents, header, options, chunks).data


def write_latents(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: tuple[Chunk, ...] = ()
) -> Written:
    """As :func:`encode_latents`, with what was found when the file was read again."""
    if header.coding == Coding.PALETTE:
        pixels = palette.to_bytes(latents)
        colours = palette.palette_of(pixels)
        payload = palette.pack(colours, palette.dither(pixels, colours))
        integers = palette.unpack(payload, *pixels.shape[:2])
        level = level_of_deviation(float(np.std(latents - palette.from_bytes(integers))))
        return write_file(latents, replace(header, level=level), integers, payload, chunks)
    draft, payload = _draft(latents, header, options, chunks)
    return write_file(latents, replace(header, level=draft.level), draft.integers, payload, chunks)


def write_file(
    latents: NDArray[np.float32],
    header: Header,
    integers: NDArray[np.int16],
    payload: bytes,
    chunks: tuple[Chunk, ...] = (),
) -> Written:
    """The file of ``payload``, which codes ``integers`` int16[4, h, w] at the header's level.

    ``latents`` are what they stand for; the header's noise codes tell how far they are from it. The file
    is decoded again and compared before it is returned.
    """
    values, levels = _values(header, integers, finer_of(chunks, *integers.shape[1:]))
    header = replace(header, noise=noise_codes(latents, values, levels))
    data = serialise(header, payload, checksum(header, _covered(header, integers, payload)), chunks)
    found = decode_latents(parse(data, limits=READ_BACK, strict=True))
    if not np.array_equal(found.latents, values):
        raise CalotypeError("the encoder could not read back what it wrote; please report this picture")
    return Written(data, header, found)


def quantise_latents(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: Sequence[Chunk] = ()
) -> Dequantised:
    """What latents become at the header's level, with the options' decisions, in the lattice coding."""
    strength, feedback = _decisions(options)
    finer = finer_of(chunks, *latents.shape[1:])
    drafter = Drafter(latents, load_table(header.table), strength, feedback=feedback, finer=finer)
    return dequantise_walked(drafter.draft(header.level).walked, level_map(header.level, finer))


def decode_latents(parsed: Parsed) -> Dequantised:
    """The latents of a file; exact on every platform, but for what is ``expected``.

    Raises :class:`UnsupportedError` for ids unknown here, :class:`FormatError` for impossible regions and
    :class:`ChecksumError` or :class:`TruncatedError` unless the payload decodes to what was encoded.
    """
    header = parsed.header
    space = space_named(header.space)
    encoder_name(header.encoder)
    width, height = (-(-side // space.factor) for side in header.coded_size)
    finer = finer_of(parsed.chunks, height, width)
    if header.coding == Coding.PALETTE:
        if header.table:
            raise UnsupportedError(
                f"the palette coding uses no entropy tables, but the file names {header.table}"
            )
        if header.regions:
            raise FormatError("the palette coding has one quantiser for all, but the file has regions")
        integers = palette.unpack(parsed.payload, height, width)
        latents, levels = _values(header, integers, finer)
        found = Dequantised(latents, levels, latents)  # nothing predicts them
    else:
        levels = level_map(header.level, finer)
        walked = decode_integers(load_table(header.table), parsed.payload, levels, STEPS, LEVEL_OFFSETS)
        integers, found = walked.integers, dequantise_walked(walked, levels)
    if checksum(header, _covered(header, integers, parsed.payload)) != parsed.checksum:
        raise ChecksumError("the file is damaged: its latents do not match their checksum")
    return found


def target_of(options: EncodeOptions, header: Header) -> int | None:
    """The bytes that the whole file may take, if the options set a bound."""
    if options.bpp is not None:
        return max(1, int(options.bpp * header.width * header.height / 8))
    return options.target_size


def _covered(header: Header, integers: NDArray[np.int16], payload: bytes) -> bytes:
    """What the checksum covers after the fixed header.

    rANS gives each integer array one payload only; zlib ignores some bits of its streams, so that theirs
    is covered as well.
    """
    return integers.astype("<i2").tobytes() + (payload if header.coding == Coding.PALETTE else b"")


def finer_of(chunks: Sequence[Chunk], height: int, width: int) -> NDArray[np.int8]:
    """By how many levels each position is finer than the header's, int8[h, w], of the REGIONS chunk, if any.

    Where regions overlap the finest holds. Raises :class:`FormatError` for one that leaves the picture.
    """
    finer = np.zeros((height, width), np.int8)
    data = data_of(chunks, ChunkType.REGIONS)
    for one in () if data is None else unpack_regions(data):
        if one.left + one.width > width or one.top + one.height > height:
            raise FormatError(
                f"the file has a region of {one.width}x{one.height} at {one.left}, {one.top},"
                f" which leaves its {width}x{height} latents"
            )
        part = finer[one.top : one.top + one.height, one.left : one.left + one.width]
        np.maximum(part, one.levels, out=part)
    return finer


def _values(
    header: Header, integers: NDArray[np.int16], finer: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(latents float32[4, h, w], levels int64[h, w]) that the integers of a file stand for."""
    levels = level_map(header.level, finer)
    if header.coding == Coding.PALETTE:
        return palette.from_bytes(integers), levels
    return dequantise(integers, levels), levels


def _draft(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: tuple[Chunk, ...]
) -> tuple[Draft, bytes]:
    """The quantised latents that the options ask for; efforts above 6 try more ways and keep the best."""
    strength, feedback = _decisions(options)
    ways = CASCADES[: max(1, options.effort - 5)]
    table, finer = load_table(header.table), finer_of(chunks, *latents.shape[1:])
    drafters = [Drafter(latents, table, strength, cascade, feedback, finer) for cascade in ways]
    target = target_of(options, header)
    if target is None:
        quality = DEFAULT_QUALITY if options.quality is None else options.quality
        drafts = [drafter.draft(level_of_quality(quality)) for drafter in drafters]
        best = min(
            drafts, key=lambda draft: draft.error + draft.strength * step_of(draft.level) ** 2 * draft.bits
        )
        return best, best.payload()

    def overhead(payload_size: int) -> int:
        return len(serialise(header, bytes(payload_size), 0, chunks)) - payload_size

    fits = [fit_size(drafter, target, overhead, header.level or None) for drafter in drafters]
    return min(fits, key=lambda fit: fit[0].error)


def _decisions(options: EncodeOptions) -> tuple[float, float]:
    """(strength, feedback) that the effort has."""
    return (STRENGTH, FEEDBACK) if options.effort >= 5 else (0.0, 0.0)
