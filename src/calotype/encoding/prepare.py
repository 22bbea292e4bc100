"""From a picture to what its file holds besides latents, and to the pixels that the network is to see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype import imaging
from calotype.container import METADATA_CHUNKS, Chunk, ChunkType, Coding, Header
from calotype.container.chunks import read_chunks, write_chunk
from calotype.encoding.resolution import first_scale
from calotype.imaging import Picture
from calotype.models import DEFAULT_TABLE, encoder_id
from calotype.options import EncodeOptions

__all__ = ["chunks_of", "coded_pixels", "header_of", "padded"]


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
        for type_ in METADATA_CHUNKS:
            value = getattr(picture.metadata, type_.name.lower())
            if value:
                chunks.append(Chunk(type_, value))
    # Read again at once: what a reader under the same limits would refuse is not written.
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
