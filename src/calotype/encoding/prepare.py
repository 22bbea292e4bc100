"""Loads a picture and prepares it for the encoder: its pixels, its header and its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from calotype import imaging
from calotype.container import FULL_SCALE, METADATA_CHUNKS, Chunk, ChunkType, Coding, Header
from calotype.container.chunks import read_chunks, write_chunk
from calotype.encoding.interest import Interest, read_interest
from calotype.errors import LimitError
from calotype.imaging import EVERYTHING, Picture, PictureSource, load_picture
from calotype.latents import SD1
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, model_id
from calotype.options import EncodeOptions

__all__ = [
    "MAX_EXTENDED_SIDE",
    "PreparedPicture",
    "load_pictures",
    "network_input",
    "pad_to_latent_blocks",
    "prepare_picture",
]

_Sample = TypeVar("_Sample", np.uint8, np.int16)

MAX_EXTENDED_SIDE = 64
"""The largest length of the shorter side, in pixels, of a picture that is extended at its borders. Networks
take values beyond the borders as zero, which distorts the colours of about eight latents at each border. So
small a picture has few other latents."""


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """A picture to encode: its pixels ``rgb`` uint8[H, W, 3] at the size to show, header and chunks.

    The ``header`` has the scale at which the encoder starts, which is the only one if ``scale_is_given``. Its
    level is not known yet. The coded size and the chunks must keep to ``limits``. ``interest`` is None
    without regions of interest.
    """

    rgb: NDArray[np.uint8]
    header: Header
    chunks: tuple[Chunk, ...]
    limits: Limits
    scale_is_given: bool
    interest: Interest | None = None

    def at(self, scale: int) -> Header:
        """Returns the header of the same picture, coded at ``scale`` / 64 of its width and height."""
        return replace(self.header, scale=scale)

    def allows(self, header: Header) -> bool:
        """Returns whether the coded size in ``header`` is within the limits."""
        try:
            self.limits.check_size(*header.coded_size)
        except LimitError:
            return False
        return True

    def with_chunks(self, *chunks: Chunk) -> tuple[Chunk, ...]:
        """Returns ``chunks`` and those of the picture.

        Raises :class:`LimitError` if a reader would refuse them.
        """
        return _check_chunk_limits((*chunks, *self.chunks), self.limits)

    def pixels(self, header: Header) -> NDArray[np.uint8]:
        """Returns the network's input, uint8[8h, 8w, 3]: the picture at the coded size in ``header``,
        padded."""
        return network_input(self.rgb, header)


def load_pictures(
    images: Sequence[PictureSource], options: EncodeOptions
) -> tuple[list[PreparedPicture], Exception | None]:
    """Loads and prepares images until one of them fails.

    Returns the prepared pictures before the failure, and its error; None means that no image failed.
    """
    keep = EVERYTHING if options.keep_metadata else ()
    prepared: list[PreparedPicture] = []
    for image in images:
        try:
            picture = load_picture(image, limits=options.limits, strict=options.strict, keep=keep)
            prepared.append(prepare_picture(picture, options))
        except Exception as error:  # raised by the caller, after the files of the pictures before
            return prepared, error
    return prepared, None


def prepare_picture(picture: Picture, options: EncodeOptions) -> PreparedPicture:
    """Returns the prepared picture: its pixels, header, chunks and regions of interest.

    Raises :class:`LimitError`, and :class:`SourceError` for regions that do not fit the picture.
    """
    height, width = picture.rgb.shape[:2]
    header = Header(
        coding=Coding[options.recipe.upper()],
        space=SD1.id,
        context_model=DEFAULT_CONTEXT_MODEL if options.recipe == "hierarchical" else 0,
        encoder=model_id(options.model),
        width=width,
        height=height,
        scale=FULL_SCALE if options.scale is None else round(options.scale * FULL_SCALE),
        level=0,
        grey=picture.grey,
        alpha=picture.alpha is not None,
        extended=options.recipe == "hierarchical" and min(width, height) <= MAX_EXTENDED_SIDE,
    )
    options.limits.check_size(*header.coded_size)
    chunks, interest = _chunks_of(picture, options), read_interest(options, width, height)
    scale_is_given = options.scale is not None
    return PreparedPicture(picture.rgb, header, chunks, options.limits, scale_is_given, interest)


def _chunks_of(picture: Picture, options: EncodeOptions) -> tuple[Chunk, ...]:
    """Returns the ALPHA and metadata chunks of a picture's file. Raises :class:`LimitError`."""
    chunks = []
    if picture.alpha is not None:
        chunks.append(Chunk(ChunkType.ALPHA, imaging.pack_alpha(picture.alpha)))
    if options.keep_metadata:
        for type_ in METADATA_CHUNKS:
            value = getattr(picture.metadata, type_.name.lower())
            if value:
                chunks.append(Chunk(type_, value))
    return _check_chunk_limits(tuple(chunks), options.limits)


def _check_chunk_limits(chunks: tuple[Chunk, ...], limits: Limits) -> tuple[Chunk, ...]:
    """Returns the chunks as a reader would read them.

    Raises :class:`LimitError` for chunks that a reader under the same limits would refuse.
    """
    return read_chunks(b"".join(map(write_chunk, chunks)), 0, limits, strict=True)[0]


def network_input(rgb: NDArray[np.uint8], header: Header) -> NDArray[np.uint8]:
    """Returns the network's input for a picture uint8[H, W, 3]: resized to its coded size, and padded."""
    return pad_to_latent_blocks(imaging.resample_picture(rgb, *header.coded_size))


def pad_to_latent_blocks(rgb: NDArray[_Sample]) -> NDArray[_Sample]:
    """Repeats the last row and column until the sides are multiples of 8 pixels."""
    height, width = rgb.shape[:2]
    if height % SD1.factor == 0 and width % SD1.factor == 0:
        return rgb
    return np.pad(rgb, ((0, -height % SD1.factor), (0, -width % SD1.factor), (0, 0)), mode="edge")
