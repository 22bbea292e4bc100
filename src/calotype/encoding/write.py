"""From latents to a whole file, in each of the two codings.

::

    latents ─┬─ lattice: RDO quantiser ─ integers ─ context model, rANS ─┬─ container ─ verify
             └─ palette: 8 bits ─ 256 colours, dithered ─ zlib ──────────┘

Whatever the coding, the file is decoded again and compared before it is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, Coding, Header, parse, serialise
from calotype.decoding import checksum_of, decode_latents, region_offsets, values_of
from calotype.encoding.rate import Trial, TrialEncoder, fit_size
from calotype.encoding.rdo import CASCADES
from calotype.errors import CalotypeError
from calotype.latents import (
    Reconstruction,
    level_map,
    level_of_deviation,
    level_of_quality,
    noise_codes,
    palette,
    reconstruct,
    step_of,
)
from calotype.limits import Limits
from calotype.models import load_table
from calotype.options import DEFAULT_QUALITY, EncodeOptions

__all__ = [
    "VERIFY_LIMITS",
    "EncodedFile",
    "encode_latents",
    "quantise_latents",
    "target_of",
    "write_file",
    "write_latents",
]

LAMBDA = 0.05
"""Nominal Lagrangian multiplier (see ``encoding.rdo``), from effort 5 up."""

ERROR_DIFFUSION = 0.5
"""Share of its neighbours' error that a latent takes over, likewise."""

VERIFY_LIMITS = Limits(max_pixels=1 << 28, max_chunk_bytes=1 << 32, max_metadata_bytes=1 << 32)
"""For files that were just written: the caller's own limits were checked before."""


@dataclass(frozen=True, eq=False)
class EncodedFile:
    """A file, its header, and what its latents are when it is decoded."""

    data: bytes
    header: Header
    reconstruction: Reconstruction


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
) -> EncodedFile:
    """As :func:`encode_latents`, with what was found when the file was verified."""
    if header.coding == Coding.PALETTE:
        pixels = palette.to_bytes(latents)
        colours = palette.palette_of(pixels)
        payload = palette.pack(colours, palette.dither(pixels, colours))
        integers = palette.unpack(payload, *pixels.shape[:2])
        level = level_of_deviation(float(np.std(latents - palette.from_bytes(integers))))
        return write_file(latents, replace(header, level=level), integers, payload, chunks)
    trial, payload = _best_trial(latents, header, options, chunks)
    return write_file(latents, replace(header, level=trial.level), trial.integers, payload, chunks)


def write_file(
    latents: NDArray[np.float32],
    header: Header,
    integers: NDArray[np.int16],
    payload: bytes,
    chunks: tuple[Chunk, ...] = (),
) -> EncodedFile:
    """The file of ``payload``, which codes ``integers`` int16[4, h, w] at the header's level.

    ``latents`` are what they stand for; the header's noise codes tell how far they are from it. The file
    is decoded again and compared before it is returned.
    """
    values, levels = values_of(header, integers, region_offsets(chunks, *integers.shape[1:]))
    header = replace(header, noise=noise_codes(latents, values, levels))
    data = serialise(header, payload, checksum_of(header, integers, payload), chunks)
    found = decode_latents(parse(data, limits=VERIFY_LIMITS, strict=True))
    if not np.array_equal(found.latents, values):
        raise CalotypeError("the encoder could not read back what it wrote; please report this picture")
    return EncodedFile(data, header, found)


def quantise_latents(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: Sequence[Chunk] = ()
) -> Reconstruction:
    """What latents become at the header's level, with the options' quantiser, in the lattice coding."""
    lambda_, diffusion = _rdo_of(options)
    offsets = region_offsets(chunks, *latents.shape[1:])
    table = load_table(header.table)
    encoder = TrialEncoder(latents, table, lambda_, error_diffusion=diffusion, offsets=offsets)
    return reconstruct(encoder.trial(header.level).coded, level_map(header.level, offsets))


def target_of(options: EncodeOptions, header: Header) -> int | None:
    """The bytes that the whole file may take, if the options set a bound."""
    if options.bpp is not None:
        return max(1, int(options.bpp * header.width * header.height / 8))
    return options.target_size


def _best_trial(
    latents: NDArray[np.float32], header: Header, options: EncodeOptions, chunks: tuple[Chunk, ...]
) -> tuple[Trial, bytes]:
    """The quantised latents that the options ask for; efforts above 6 try more ways and keep the best."""
    lambda_, diffusion = _rdo_of(options)
    ways = CASCADES[: max(1, options.effort - 5)]
    table, offsets = load_table(header.table), region_offsets(chunks, *latents.shape[1:])
    encoders = [TrialEncoder(latents, table, lambda_, cascade, diffusion, offsets) for cascade in ways]
    target = target_of(options, header)
    if target is None:
        quality = DEFAULT_QUALITY if options.quality is None else options.quality
        trials = [encoder.trial(level_of_quality(quality)) for encoder in encoders]
        best = min(
            trials, key=lambda trial: trial.error + trial.lambda_ * step_of(trial.level) ** 2 * trial.bits
        )
        return best, best.payload()

    def overhead(payload_size: int) -> int:
        return len(serialise(header, bytes(payload_size), 0, chunks)) - payload_size

    fits = [fit_size(encoder, target, overhead, header.level or None) for encoder in encoders]
    return min(fits, key=lambda fit: fit[0].error)


def _rdo_of(options: EncodeOptions) -> tuple[float, float]:
    """(multiplier, share of error diffusion) that the effort has."""
    return (LAMBDA, ERROR_DIFFUSION) if options.effort >= 5 else (0.0, 0.0)
