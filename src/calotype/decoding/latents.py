"""Decoding of a parsed file to its latents, in each of the two codings.

::

    hierarchical: payload ─ context model, rANS ─ integers ─┬─ checksum
    palette:      payload ─ zlib ─ 256 colours ───────── integers ─┴─ reconstruction
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calotype.container import (
    Chunk,
    ChunkType,
    Coding,
    Header,
    ParsedFile,
    chunk_data,
    file_checksum,
    unpack_regions,
)
from calotype.entropy import BASE_SPACING, IntegerDecoder, reference_product
from calotype.errors import ChecksumError, FormatError, TruncatedError, UnsupportedError
from calotype.latents import (
    CHANNEL_OFFSETS,
    STEPS,
    Reconstruction,
    dequantise,
    level_map,
    palette,
    reconstruct_latents,
)
from calotype.models import latent_space_of_id, load_context_model, model_name_of_id

__all__ = [
    "PayloadDecoder",
    "decode_latents",
    "first_picture_size",
    "integers_checksum",
    "latents_and_levels",
    "region_refinements",
]


def decode_latents(parsed: ParsedFile, spacing: int = 1, *, verify: bool = False) -> Reconstruction:
    """Decodes the latents of a file. They are the same on every platform, except for the conditional means.

    With a ``spacing`` of 2, 4 or 8, only the latents in rows and columns that are its multiples are decoded;
    they are coded before all others. The checksum is that of all latents: ``verify`` decodes the others too,
    to compare it.

    If the end of a hierarchical payload has not arrived, the integers before it are decoded, and the context
    model predicts the latents of the others. Raises :class:`UnsupportedError` for an id that this release
    does not have, :class:`FormatError` for a region outside the picture, :class:`ChecksumError` or
    :class:`TruncatedError` if the payload is damaged, and :class:`TruncatedError` if a part is needed that
    has not arrived.
    """
    if parsed.header.coding == Coding.HIERARCHICAL:
        reader = PayloadDecoder(parsed, spacing, verify=verify)
        reader.feed(parsed.payload)
        return reader.reconstruction()
    return _decode_palette(parsed).subsampled(spacing)


class PayloadDecoder:
    """The decoder of a hierarchical payload that may arrive in pieces; no integer is decoded twice."""

    def __init__(
        self, parsed: ParsedFile, spacing: int = 1, *, verify: bool = False, reference: bool = False
    ) -> None:
        """``parsed`` is the file; its payload is not decoded before :meth:`feed`.

        ``reference`` chooses the reference product, which needs no ONNX Runtime. The other arguments are
        those of :func:`decode_latents`. Its errors are raised here if they do not depend on the payload.
        """
        header, chunks = parsed.header, parsed.chunks
        if header.regions and chunk_data(chunks, ChunkType.REGIONS) is None:
            raise TruncatedError(
                "the file ends without its REGIONS chunk, which comes last: its payload needs it"
            )
        self._header, self._stored = header, parsed.checksum
        levels = level_map(header.level, region_refinements(chunks, *_latent_size(header)))
        decoded = 1 if verify else spacing
        # With ``verify`` more latents are decoded than asked for; the others are left out of the result.
        self._thinning = spacing // decoded
        self._levels = levels[::decoded, ::decoded]
        context_model = load_context_model(header.context_model)
        self._context_model = context_model.with_reference_product() if reference else context_model
        self._decoder_with = partial(
            IntegerDecoder,
            size=parsed.payload_size,
            levels=levels,
            steps=STEPS,
            channel_offsets=CHANNEL_OFFSETS,
            spacing=decoded,
        )
        self._integers = self._decoder_with(self._context_model)
        self._arrived = bytearray()
        self._reconstruction: Reconstruction | None = None

    @property
    def done(self) -> bool:
        """Returns whether all latents of the grid of ``spacing`` have arrived."""
        return self._integers.done

    @property
    def consumed(self) -> int:
        """Returns the number of payload bytes that the decoded integers take."""
        return self._integers.consumed

    def feed(self, payload: bytes) -> None:
        """Appends the next bytes of the payload.

        Raises :class:`TruncatedError` or :class:`ChecksumError` if the payload is damaged. Before it does, it
        decodes the payload once more, with the reference product. If that succeeds, the file is valid, and
        the faster product of this machine was wrong.
        """
        self._arrived += payload
        if payload:
            self._reconstruction = None
        try:
            self._decode(payload)
        except (ChecksumError, TruncatedError):
            if self._context_model.product is reference_product:
                raise
            self._context_model = self._context_model.with_reference_product()
            self._integers = self._decoder_with(self._context_model)
            self._decode(bytes(self._arrived))

    def _decode(self, payload: bytes) -> None:
        self._integers.feed(payload)
        if self._integers.finished and self._reconstruction is None:
            _verify_checksum(self._header, self._integers.result().integers, b"", self._stored)

    def reconstruction(self) -> Reconstruction:
        """Returns the latents so far, and the model's prediction of those that have not arrived."""
        if self._reconstruction is None:
            self._reconstruction = reconstruct_latents(self._integers.result(), self._levels).subsampled(
                self._thinning
            )
        return self._reconstruction


def first_picture_size(parsed: ParsedFile) -> int | None:
    """Returns the number of bytes of a file that give a first picture, up to the end of its base grid.

    Only this part of the payload, 1/64 of the latents, is decoded. The result is None if this part has not
    arrived. A file in the palette coding, or with its regions after the payload, has no first picture before
    its end. Raises the errors of :func:`decode_latents`.
    """
    header = parsed.header
    if header.coding == Coding.PALETTE or (header.regions and not header.regions_first):
        return None if parsed.missing else parsed.size
    # The network of the base grid is small: loading ONNX Runtime would take longer than all its products.
    reader = PayloadDecoder(parsed, BASE_SPACING, reference=True)
    reader.feed(parsed.payload)
    return parsed.payload_start + reader.consumed if reader.done else None


def _latent_size(header: Header) -> tuple[int, int]:
    """Returns (h, w) of the latents.

    Raises :class:`UnsupportedError` for a space or an encoder that this release does not have.
    """
    space = latent_space_of_id(header.space)
    model_name_of_id(header.encoder)
    width, height = (-(-side // space.factor) for side in header.coded_size)
    return height, width


def _decode_palette(parsed: ParsedFile) -> Reconstruction:
    header = parsed.header
    height, width = _latent_size(header)
    if header.context_model:
        raise UnsupportedError(
            f"the palette coding uses no context model, but the file names {header.context_model}"
        )
    if header.regions:
        raise FormatError("the palette coding has one quantiser for all, but the file has regions")
    if len(parsed.payload) < parsed.payload_size:
        raise TruncatedError(
            f"{len(parsed.payload)} of {parsed.payload_size} bytes of payload are there:"
            " a file in the palette coding shows nothing before it is whole"
        )
    integers = palette.unpack_palette_payload(parsed.payload, height, width)
    latents, levels = latents_and_levels(header, integers, np.zeros((height, width), np.int8))
    _verify_checksum(header, integers, parsed.payload, parsed.checksum)
    return Reconstruction(latents, levels, latents)  # Without predictions there are no conditional means.


def _verify_checksum(header: Header, integers: NDArray[np.int16], payload: bytes, stored: int) -> None:
    if integers_checksum(header, integers, payload) != stored:
        raise ChecksumError("the file is damaged: its latents do not match their checksum")


def integers_checksum(header: Header, integers: NDArray[np.int16], payload: bytes) -> int:
    """Returns the checksum of a file whose ``payload`` codes ``integers`` int16[4, h, w].

    In the palette coding the payload is covered as well, because zlib ignores some bits of its streams. rANS
    gives each array of integers one payload only.
    """
    covered = integers.astype("<i2").tobytes()
    return file_checksum(header, covered + (payload if header.coding == Coding.PALETTE else b""))


def region_refinements(chunks: Sequence[Chunk], height: int, width: int) -> NDArray[np.int8]:
    """Returns the refinement of each position in levels, int8[h, w], from the REGIONS chunk; 0 without one.

    Where regions overlap, the largest refinement holds. Raises :class:`FormatError` for a region outside the
    picture.
    """
    refinement = np.zeros((height, width), np.int8)
    data = chunk_data(chunks, ChunkType.REGIONS)
    for region in () if data is None else unpack_regions(data):
        if region.left + region.width > width or region.top + region.height > height:
            raise FormatError(
                f"the file has a region of {region.width}x{region.height} at {region.left}, {region.top},"
                f" which leaves its {width}x{height} latents"
            )
        part = refinement[region.top : region.top + region.height, region.left : region.left + region.width]
        np.maximum(part, region.levels, out=part)
    return refinement


def latents_and_levels(
    header: Header, integers: NDArray[np.int16], refinement: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns (latents float32[4, h, w], levels int64[h, w]) of the integers of a file."""
    levels = level_map(header.level, refinement)
    if header.coding == Coding.PALETTE:
        return palette.latents_from_bytes(integers), levels
    return dequantise(integers, levels), levels
