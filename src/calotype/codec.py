"""The codec: the Python API, and the models that its calls share.

::

    image ─ imaging ─ encoding ─ .calo file ─ decoding ─ imaging ─ image
                          └─────── models ───────┘
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.arguments import check_type
from calotype.decoding import (
    ArrivingFile,
    decode_files,
    decode_opened_files,
    plan_thumbnail,
)
from calotype.encoding import encode_pictures
from calotype.fidelity import Fidelity, load_calibration, picture_fidelity
from calotype.file_data import DataLike, read_file_data
from calotype.imaging import load_picture
from calotype.info import read_info
from calotype.models import ModelCache
from calotype.options import BACKENDS, DEFAULT_BACKEND, DecodeOptions, EncodeOptions, check_device

__all__ = [
    "Codec",
    "ImageLike",
    "ProgressiveDecoder",
    "decode",
    "encode",
    "thumbnail",
    "verify",
]

ImageLike = Image.Image | NDArray[Any] | str | os.PathLike[str] | BinaryIO

_Options = TypeVar("_Options", EncodeOptions, DecodeOptions)


class Codec:
    """Encodes and decodes; loads each model once, at first use. Safe to use from several threads."""

    def __init__(
        self,
        threads: int | None = None,
        backend: str = DEFAULT_BACKEND,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        """``threads`` for the networks on the CPU; None uses every core.

        The other arguments are for the embedded networks. ``backend`` runs them: "onnxruntime", or with
        ``calotype[openvino]`` "openvino" or "openvino-bf16", which is the fastest and the least exact.
        ``device`` is "cpu", or a GPU: "cuda" or "mps", or one such as "cuda:1", through ONNX Runtime's
        provider if its build has one, or else through torch (``calotype[sd]``). "auto" takes a GPU only if
        that costs no time to start: with a build of ONNX Runtime for GPUs, or if torch is imported already.
        ``dtype`` is "auto" (float32), "float32", or on a GPU "bfloat16" or "float16".

        Raises ``TypeError`` and ``ValueError``. At the first use, a device that is not available raises
        :class:`ModelError`.
        """
        check_type("threads", threads, int | None)
        if threads is not None and threads < 1:
            raise ValueError(f"threads (={threads}) must be positive, or None for every core")
        if backend not in BACKENDS:
            raise ValueError(f"backend (={backend!r}) must be one of {', '.join(BACKENDS)}")
        check_device(device, dtype)
        self._models = ModelCache(threads, backend, device, dtype)

    @property
    def place(self) -> str:
        """Where the embedded networks are computed, such as "cpu (onnxruntime, float32)".

        Raises :class:`ModelError` for a device that is not available.
        """
        return str(self._models.place())

    def encode(
        self,
        image: ImageLike,
        options: EncodeOptions | None = None,
        *,
        progress: Callable[[], None] = lambda: None,
        **fields: Any,
    ) -> bytes:
        """Encodes a picture to the bytes of a .calo file.

        ``image``: a Pillow image, an array (uint8[H, W], [H, W, 3] or [H, W, 4]), a path or a binary file;
        ``fields`` are those of :class:`EncodeOptions`; effort 9 calls ``progress`` after each of
        at most ``optimise.MAX_ITERATIONS`` iterations. Raises :class:`SourceError`, :class:`LimitError`,
        :class:`TargetSizeError` and :class:`ModelError`.
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
        """Encodes each of ``images``, in order, as :meth:`encode` does. An error ends the iterator, after the
        files before.

        ``batch`` of them are read at a time, and those of one size go through a Stable Diffusion model
        together, which uses a GPU better and takes more memory. Other models take one after the other.
        """
        options = _merge_options(EncodeOptions, options, fields)
        yield from encode_pictures(images, options, self._models, batch=batch, progress=progress)

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
        """Decodes a .calo file to a Pillow image, or with ``as_array`` to uint8[H, W] or [H, W, channels] in
        sRGB.

        ``data``: bytes, a path or a binary file; ``fields`` are those of :class:`DecodeOptions`.
        Raises :class:`FormatError`, :class:`LimitError`, :class:`ModelError`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        if as_array:  # which cannot carry a profile: it is sRGB
            options = replace(options, keep_metadata=False)
        image = next(self.decode_many([data], options))
        return np.array(image) if as_array else image

    def thumbnail(
        self,
        data: DataLike,
        size: int | tuple[int, int],
        options: DecodeOptions | None = None,
        **fields: Any,
    ) -> Image.Image:
        """Decodes a .calo file to a Pillow image of at most ``size`` pixels: (width, height), or one number
        for both.

        The proportions are kept, and no picture is enlarged. It is made as :meth:`decode` does with the
        largest ``reduce`` that gives enough pixels: without the decoder network from 1/8 of the picture's
        size down. ``fields`` are those of :class:`DecodeOptions` except ``reduce``; ``box`` is possible.
        Raises as :meth:`decode`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        content = read_file_data(data)
        info = read_info(content, options.limits, partial=options.partial)
        plan = plan_thumbnail((info.width, info.height), size, options)
        return plan.resample(self.decode(content, plan.options))

    def decode_many(
        self,
        files: Iterable[DataLike],
        options: DecodeOptions | None = None,
        *,
        batch: int = 8,
        **fields: Any,
    ) -> Iterator[Image.Image]:
        """Decodes each of ``files``, in order, as :meth:`decode` does. For ``batch`` see
        :meth:`encode_many`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        yield from decode_files(map(read_file_data, files), options, self._models, batch=batch)

    def verify(
        self, photo: ImageLike, data: DataLike, options: DecodeOptions | None = None, **fields: Any
    ) -> Fidelity:
        """Compares the picture that ``data`` is decoded to with the ``photo`` that it was encoded from.

        Both are given as for :meth:`encode` and :meth:`decode`; ``fields`` are those of
        :class:`DecodeOptions` except ``box`` and ``reduce``. Raises :class:`SourceError` for a photo of
        another size, ``ValueError``, and as :meth:`decode`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        if options.box is not None or options.reduce != 1:
            raise ValueError(f"box (={options.box}) and reduce (={options.reduce}) leave out of the picture")
        original = load_picture(photo, limits=options.limits, strict=options.strict, keep=())
        decoded = self.decode(data, replace(options, keep_metadata=False, provenance=False))
        network = self._models.features(load_calibration().activations)
        return picture_fidelity(original.rgb, original.alpha, decoded, network)


class ProgressiveDecoder:
    """Decodes a .calo file while it arrives: bytes go in as they come, a picture comes out when asked for.

    All calls of :meth:`feed` together decode each integer once, as one decode does. Not to be shared by
    threads. A mistake in what has arrived raises :class:`FormatError` or :class:`LimitError`,
    then and at each later call.
    """

    def __init__(
        self, options: DecodeOptions | None = None, *, codec: Codec | None = None, **fields: Any
    ) -> None:
        """``options`` and ``fields`` are those of :meth:`Codec.decode`; ``partial`` makes no difference.

        ``codec`` has the models; None: those that the process shares.
        """
        check_type("codec", codec, Codec | None)
        self._options = _merge_options(DecodeOptions, options, fields)
        self._models = (codec or _shared)._models
        self._file = ArrivingFile(self._options)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the file, any number of them."""
        check_type("data", data, bytes | bytearray | memoryview)
        self._file.feed(bytes(data))

    @property
    def fraction(self) -> float:
        """How much of the file has arrived, as far as its bytes tell: 0 before the header, 1 at the end.

        How long the parts behind the payload are (alpha, metadata) shows when they begin to arrive: then it
        falls, if they are long.
        """
        return self._file.fraction

    def picture(self) -> Image.Image:
        """Returns the picture so far, as :func:`decode` does.

        One of a file that is not whole has ``info["partial"]``, the fraction, and gives a
        :class:`PartialPictureWarning`. What has not arrived is predicted anew each time, which takes up to as
        long as decoding all of it. Raises :class:`TruncatedError` before there is enough for any picture, and
        :class:`ModelError`.
        """
        return next(decode_opened_files([self._file.opened()], self._options, self._models))


def _merge_options(kind: type[_Options], options: _Options | None, fields: dict[str, Any]) -> _Options:
    """Returns ``options``, or those of the default, with ``fields`` in them. Raises ``TypeError``."""
    if options is None:
        return kind(**fields)
    check_type("options", options, kind)
    return replace(options, **fields) if fields else options


_shared = Codec()


def encode(image: ImageLike, options: EncodeOptions | None = None, **fields: Any) -> bytes:
    """Does the same as :meth:`Codec.encode`, with models shared by the process."""
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
    """Does the same as :meth:`Codec.decode`, with models shared by the process."""
    if as_array:
        return _shared.decode(data, options, as_array=True, **fields)
    return _shared.decode(data, options, as_array=False, **fields)


def thumbnail(
    data: DataLike, size: int | tuple[int, int], options: DecodeOptions | None = None, **fields: Any
) -> Image.Image:
    """Does the same as :meth:`Codec.thumbnail`, with models shared by the process."""
    return _shared.thumbnail(data, size, options, **fields)


def verify(photo: ImageLike, data: DataLike, options: DecodeOptions | None = None, **fields: Any) -> Fidelity:
    """As :meth:`Codec.verify`, with models shared by the process."""
    return _shared.verify(photo, data, options, **fields)
