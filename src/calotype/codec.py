"""The codec: the one module that knows every part.

::

    image ─ imaging ─ scale, pad to 8 ─ encoder ─ latents ─ coding, synthesis ─ container
    container ─ coding ─ latents (checked) ─ decoder(step) ─ crop, scale ─ imaging ─ image
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.container import Chunk, Header
from calotype.decoding import OpenedFile
from calotype.encoding.closed_loop import closed_loop, is_looked_at
from calotype.encoding.optimise import refine
from calotype.encoding.prepare import chunks_of, coded_pixels, header_of
from calotype.encoding.regions import is_coarse, protected
from calotype.encoding.resolution import encode_scaled
from calotype.encoding.write import target_of
from calotype.errors import SourceError
from calotype.imaging import EVERYTHING, Picture, load_picture
from calotype.info import Info, describe
from calotype.limits import Limits
from calotype.models import (
    Decoder,
    Encoder,
    FaceFinder,
    is_embedded,
    load_decoder,
    load_encoder,
    load_face_finder,
)
from calotype.models.tiling import decode_all, encode_all, encode_tiled
from calotype.options import BACKENDS, DEFAULT_BACKEND, DecodeOptions, DiffusionOptions, EncodeOptions

__all__ = [
    "Codec",
    "DataLike",
    "ImageLike",
    "decode",
    "encode",
    "read_info",
]

ImageLike = Image.Image | NDArray[Any] | str | os.PathLike[str] | BinaryIO
DataLike = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

_Options = TypeVar("_Options", EncodeOptions, DecodeOptions)
_Item = TypeVar("_Item")


class Codec:
    """Encodes and decodes; loads each model once, at first use. Safe to use from several threads."""

    def __init__(self, threads: int | None = None, backend: str = DEFAULT_BACKEND) -> None:
        """``threads`` for the networks; None uses every core.

        ``backend`` runs the embedded ones: "onnxruntime", or with ``calotype[openvino]`` "openvino" or
        "openvino-bf16", which is the fastest and the least exact. Raises ``ValueError`` for another.
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend (={backend!r}) must be one of {', '.join(BACKENDS)}")
        self._threads, self._backend = threads, backend
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Hashable, ...], Any] = {}

    def _once(self, key: tuple[Hashable, ...], load: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load()
            return self._loaded[key]

    def _encoder(self, name: str, diffusion: DiffusionOptions) -> Encoder:
        encoder: Encoder = self._once(
            ("encoder", name, diffusion),
            lambda: load_encoder(name, self._threads, diffusion, self._backend),
        )
        return encoder

    def _decoder(self, name: str | None, space: int, diffusion: DiffusionOptions) -> Decoder:
        decoder: Decoder = self._once(
            ("decoder", name, space, diffusion),
            lambda: load_decoder(name, space, self._threads, diffusion, self._backend),
        )
        return decoder

    def _face_finder(self, model: str) -> FaceFinder | None:
        finder: FaceFinder | None = self._once(
            ("faces", model), lambda: load_face_finder(model, self._threads, self._backend)
        )
        return finder

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
        return next(self.encode_many([image], options, progress=progress, **fields))

    def encode_many(
        self,
        images: Iterable[ImageLike],
        options: EncodeOptions | None = None,
        *,
        batch: int = 8,
        progress: Callable[[], None] = lambda: None,
        **fields: Any,
    ) -> Iterator[bytes]:
        """As :meth:`encode` for each of ``images``, in their order; the first error ends it.

        ``batch`` of them are read at a time, and those of one size go through a Stable Diffusion model
        together, which uses a GPU better and takes more memory. Other models take one after the other.
        """
        options = _merged(options or EncodeOptions(), fields)
        encoder = self._encoder(options.model, options.diffusion)
        for some in _batches(images, batch):
            pictures = [_loaded(one, options) for one in some]
            chunks = [chunks_of(picture, options) for picture in pictures]
            headers = [header_of(picture, options) for picture in pictures]
            seen = [coded_pixels(one.rgb, header) for one, header in zip(pictures, headers, strict=True)]
            found = encode_all(encoder, seen)
            for one in zip(pictures, headers, chunks, found, strict=True):
                yield self._file(encoder, *one, options, progress)

    def _file(
        self,
        encoder: Encoder,
        picture: Picture,
        header: Header,
        chunks: tuple[Chunk, ...],
        latents: NDArray[np.float32],
        options: EncodeOptions,
        progress: Callable[[], None],
    ) -> bytes:
        """The file of a picture whose latents at the header's scale are there."""

        def latents_at(other: Header) -> NDArray[np.float32]:
            if other.scale == header.scale:
                return latents
            return encode_tiled(encoder, coded_pixels(picture.rgb, other))

        made = encode_scaled(latents_at, header, options, chunks)
        if is_coarse(options, made.file.header) and (finder := self._face_finder(options.model)):
            made, chunks = protected(made, finder, latents_at, chunks)
        looked_at = is_embedded(options.model) and is_looked_at(options, made.file.header)
        refined = options.effort == 9 and options.recipe == "lattice"
        if not (looked_at or refined):
            return made.file.data
        rgb = coded_pixels(picture.rgb, made.file.header)
        if looked_at:
            decoder = self._decoder(options.model, header.space, options.diffusion)
            made = closed_loop(made, rgb, encoder, decoder, chunks)
        if not refined:
            return made.file.data
        decoder = self._decoder(options.decoder, header.space, options.diffusion)
        target = target_of(options, header)
        return refine(made.file.data, made.latents, rgb, decoder, options, target, progress)

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
        if as_array:  # which cannot carry a profile: it is sRGB
            options = replace(options, keep_metadata=False)
        image = next(self.decode_many([data], options))
        return np.asarray(image) if as_array else image

    def decode_many(
        self,
        files: Iterable[DataLike],
        options: DecodeOptions | None = None,
        *,
        batch: int = 8,
        **fields: Any,
    ) -> Iterator[Image.Image]:
        """As :meth:`decode` for each of ``files``, in their order; for ``batch`` see :meth:`encode_many`."""
        options = _merged(options or DecodeOptions(), fields)
        for some in _batches(files, batch):
            opened = [OpenedFile.of(_bytes(data), options) for data in some]
            for space, neighbours in groupby(opened, key=lambda one: one.header.space):
                group = list(neighbours)
                decoder = self._decoder(options.model, space, options.diffusion)
                found = decode_all(decoder, [one.latents for one in group])
                for one, rgb in zip(group, found, strict=True):
                    yield one.image(rgb)


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """``items``, so many at a time. Raises ``ValueError``."""
    if size < 1:
        raise ValueError(f"batch (={size}) must be positive")
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def _loaded(image: ImageLike, options: EncodeOptions) -> Picture:
    keep = EVERYTHING if options.keep_metadata else ()
    return load_picture(image, limits=options.limits, strict=options.strict, keep=keep)


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
