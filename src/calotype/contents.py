"""What a file holds besides its latents, and how a picture is put together again."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype import imaging
from calotype.coding import decode_latents
from calotype.container import Chunk, ChunkType, Coding, Header, parse
from calotype.container.chunks import read_chunks, write_chunk
from calotype.errors import CalotypeWarning
from calotype.imaging import Metadata, Picture
from calotype.latents import log_step_map, noise_deviations
from calotype.models import DEFAULT_TABLE, encoder_id
from calotype.options import DecodeOptions, EncodeOptions
from calotype.scaling import first_scale
from calotype.tiling import Coded

__all__ = ["Opened", "chunks_of", "coded_pixels", "header_of", "padded"]

_METADATA = ((ChunkType.ICC, "icc"), (ChunkType.EXIF, "exif"), (ChunkType.XMP, "xmp"))


@dataclass(frozen=True, eq=False)
class Opened:
    """A file before its latents are developed; ``alpha`` uint8[H, W] or None."""

    header: Header
    coded: Coded
    alpha: NDArray[np.uint8] | None
    metadata: Metadata

    @classmethod
    def of(cls, data: bytes, options: DecodeOptions) -> Opened:
        """Reads a whole file, its latents too. Raises :class:`FormatError` and :class:`LimitError`."""
        parsed = parse(data, limits=options.limits, strict=options.strict)
        for name in parsed.damaged:
            warnings.warn(f"a damaged part of the file was left out: {name}", CalotypeWarning, stacklevel=4)
        header = parsed.header
        found = decode_latents(parsed)
        noise = noise_deviations(header.noise, found.levels)
        coded = Coded(found.latents, log_step_map(found.levels), noise, found.expected)
        alpha = None
        if header.alpha:
            packed = parsed.chunk(ChunkType.ALPHA) or b""
            alpha = imaging.unpack_alpha(packed, header.width, header.height)
        keep = {field: parsed.chunk(type_) for type_, field in _METADATA} if options.keep_metadata else {}
        return cls(header, coded, alpha, Metadata(**keep))

    def image(self, rgb: NDArray[np.uint8]) -> Image.Image:
        """The picture to show, of the decoder's pixels ``rgb`` uint8[8h, 8w, 3]."""
        header = self.header
        width, height = header.coded_size
        shown = imaging.resized(rgb[:height, :width], header.width, header.height)
        return imaging.to_image(shown, self.alpha, header.grey, self.metadata)


def header_of(picture: Picture, options: EncodeOptions) -> Header:
    """What a picture's file begins with; the level is found later. Raises :class:`LimitError`."""
    height, width = picture.rgb.shape[:2]
    header = Header(
        coding=Coding[options.recipe.upper()],
        space=1,
        table=DEFAULT_TABLE if options.recipe == "lattice" else 0,
        encoder=encoder_id(options.model),
        width=width,
        height=height,
        scale=first_scale(options),
        level=0,
        grey=picture.grey,
        alpha=picture.alpha is not None,
    )
    options.limits.check_size(*header.coded_size)
    return header


def chunks_of(picture: Picture, options: EncodeOptions) -> tuple[Chunk, ...]:
    """The ancillary chunks of a picture's file. Raises :class:`LimitError`."""
    chunks = []
    if picture.alpha is not None:
        chunks.append(Chunk(ChunkType.ALPHA, imaging.pack_alpha(picture.alpha)))
    if options.keep_metadata:
        for type_, field in _METADATA:
            value = getattr(picture.metadata, field)
            if value:
                chunks.append(Chunk(type_, value))
    # Read back at once: what a reader under the same limits would refuse is not written.
    return read_chunks(b"".join(map(write_chunk, chunks)), 0, options.limits, strict=True)[0]


def coded_pixels(rgb: NDArray[np.uint8], header: Header) -> NDArray[np.uint8]:
    """What the encoder is to see of a picture uint8[H, W, 3]: as large as it is coded, and padded."""
    return padded(imaging.resized(rgb, *header.coded_size))


def padded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeats the last row and column up to multiples of 8."""
    height, width = rgb.shape[:2]
    if height % 8 == 0 and width % 8 == 0:
        return rgb
    return np.pad(rgb, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
