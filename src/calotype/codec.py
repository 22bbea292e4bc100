"""The codec: the one module that knows every part.

::

    image ─ imaging ─ pad to 8 ─ encoder ─ latents ─ coding ─ container
    container ─ coding ─ latents (checked) ─ decoder(step) ─ crop ─ imaging ─ image
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype import imaging
from calotype.coding import decode_latents, encode_latents, target_of
from calotype.container import Chunk, ChunkType, Coding, Header, parse
from calotype.container.chunks import read_chunks, write_chunk
from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging import Metadata, Picture, load_picture
from calotype.info import Info, describe
from calotype.latents import log_step_map, noise_deviations
from calotype.limits import Limits
from calotype.models import (
    DEFAULT_TABLE,
    Decoder,
    Encoder,
    encoder_id,
    load_decoder,
    load_encoder,
)
from calotype.optimise import refine
from calotype.options import DecodeOptions, DiffusionOptions, EncodeOptions
from calotype.tiling import decode_tiled, encode_tiled

__all__ = [
    "Codec",
    "DataLike",
    "ImageLike",
    "decode",
    "decode_latents",
    "encode",
    "encode_latents",
    "read_info",
]

ImageLike = Image.Image | NDArray[Any] | str | os.PathLike[str] | BinaryIO
DataLike = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

_Options = TypeVar("_Options", EncodeOptions, DecodeOptions)
_METADATA = ((ChunkType.ICC, "icc"), (ChunkType.EXIF, "exif"), (ChunkType.XMP, "xmp"))


class Codec:
    """Encodes and decodes; loads each model once, at first use. Safe to use from several threads."""

    def __init__(self, threads: int | None = None) -> None:
        """``threads`` for the networks; None uses every core."""
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Hashable, ...], Any] = {}

    def _once(self, key: tuple[Hashable, ...], load: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load()
            return self._loaded[key]

    def _encoder(self, name: str, diffusion: DiffusionOptions) -> Encoder:
        encoder: Encoder = self._once(
            ("encoder", name, diffusion), lambda: load_encoder(name, self._threads, diffusion)
        )
        return encoder

    def _decoder(self, name: str | None, space: int, diffusion: DiffusionOptions) -> Decoder:
        decoder: Decoder = self._once(
            ("decoder", name, space, diffusion), lambda: load_decoder(name, space, self._threads, diffusion)
        )
        return decoder

    def encode(
        self,
        image: ImageLike,
        options: EncodeOptions | None = None,
        *,
        progress: Callable[[], None] = lambda: None,
        **fields: Any,
    ) -> bytes:
        """A picture to the bytes of a .calo file.

        ``image``: a Pillow image, an array (uint8[H, W], [H, W, 3] or [H, W, 4]), a path or a binary file;
        ``fields`` are those of :class:`EncodeOptions`; effort 9 calls ``progress`` up to ``optimise.ROUNDS``
        times. Raises :class:`SourceError`, :class:`LimitError`,
        :class:`TargetSizeError`, :class:`ModelError`.
        """
        options = _merged(options or EncodeOptions(), fields)
        encoder = self._encoder(options.model, options.diffusion)
        picture = load_picture(image, limits=options.limits, strict=options.strict)
        chunks = _chunks(picture, options)
        pixels = _padded(picture.rgb)
        latents = encode_tiled(encoder, pixels)
        height, width = picture.rgb.shape[:2]
        header = Header(
            coding=Coding[options.recipe.upper()],
            space=1,
            table=DEFAULT_TABLE if options.recipe == "lattice" else 0,
            encoder=encoder_id(options.model),
            width=width,
            height=height,
            level=0,
            grey=picture.grey,
            alpha=picture.alpha is not None,
        )
        data = encode_latents(latents, header, options, chunks)
        if options.effort < 9 or options.recipe == "palette":
            return data
        decoder = self._decoder(options.decoder, header.space, options.diffusion)
        return refine(data, latents, pixels, decoder, options, target_of(options, header), progress)

    @overload
    def decode(
        self,
        data: DataLike,
        options: DecodeOptions | None = None,
        *,
        as_array: Literal[False] = False,
        **fields: Any,
    ) -> Image.Image: ...

    @overload
    def decode(
        self, data: DataLike, options: DecodeOptions | None = None, *, as_array: Literal[True], **fields: Any
    ) -> NDArray[np.uint8]: ...

    def decode(
        self, data: DataLike, options: DecodeOptions | None = None, *, as_array: bool = False, **fields: Any
    ) -> Image.Image | NDArray[np.uint8]:
        """A .calo file to a Pillow image, or with ``as_array`` to uint8[H, W] or [H, W, channels] in sRGB.

        ``data``: bytes, a path or a binary file; ``fields`` are those of :class:`DecodeOptions`.
        Raises :class:`FormatError`, :class:`LimitError`, :class:`ModelError`.
        """
        options = _merged(options or DecodeOptions(), fields)
        parsed = parse(_bytes(data), limits=options.limits, strict=options.strict)
        for name in parsed.damaged:
            warnings.warn(f"a damaged part of the file was left out: {name}", CalotypeWarning, stacklevel=2)
        latents, levels = decode_latents(parsed)
        header = parsed.header
        alpha = None
        if header.alpha:
            packed = parsed.chunk(ChunkType.ALPHA) or b""
            alpha = imaging.unpack_alpha(packed, header.width, header.height)
        decoder = self._decoder(options.model, header.space, options.diffusion)
        noise = noise_deviations(header.noise, header.level)
        rgb = decode_tiled(decoder, latents, log_step_map(levels), noise)
        rgb = rgb[: header.height, : header.width]
        keep = options.keep_metadata and not as_array  # an array cannot carry a profile: it is sRGB
        kept = {field: parsed.chunk(type_) for type_, field in _METADATA} if keep else {}
        image = imaging.to_image(rgb, alpha, header.grey, Metadata(**kept))
        return np.asarray(image) if as_array else image


def _chunks(picture: Picture, options: EncodeOptions) -> tuple[Chunk, ...]:
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


def _padded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeats the last row and column up to multiples of 8."""
    height, width = rgb.shape[:2]
    if height % 8 == 0 and width % 8 == 0:
        return rgb
    return np.pad(rgb, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")


def _merged(options: _Options, fields: dict[str, Any]) -> _Options:
    return replace(options, **fields) if fields else options


def _bytes(data: DataLike) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str | os.PathLike):
        try:
            return Path(data).read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {os.fspath(data)}: {error.strerror}") from error
    content = data.read()
    if not isinstance(content, bytes):
        raise TypeError(f"data.read() must give bytes, not {type(content).__name__}")
    return content


_shared = Codec()


def encode(image: ImageLike, options: EncodeOptions | None = None, **fields: Any) -> bytes:
    """As :meth:`Codec.encode`, with models shared by the process."""
    return _shared.encode(image, options, **fields)


@overload
def decode(
    data: DataLike, options: DecodeOptions | None = None, *, as_array: Literal[False] = False, **fields: Any
) -> Image.Image: ...


@overload
def decode(
    data: DataLike, options: DecodeOptions | None = None, *, as_array: Literal[True], **fields: Any
) -> NDArray[np.uint8]: ...


def decode(
    data: DataLike, options: DecodeOptions | None = None, *, as_array: bool = False, **fields: Any
) -> Image.Image | NDArray[np.uint8]:
    """As :meth:`Codec.decode`, with models shared by the process."""
    if as_array:
        return _shared.decode(data, options, as_array=True, **fields)
    return _shared.decode(data, options, as_array=False, **fields)


def read_info(data: DataLike, limits: Limits | None = None) -> Info:
    """What a .calo file says of itself, without decoding it. Raises :class:`FormatError`."""
    return describe(_bytes(data), limits or Limits())
