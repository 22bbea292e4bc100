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
    """Encodes and decodes pictures. It loads each model once, at first use, and may be shared by threads."""

    def __init__(
        self,
        threads: int | None = None,
        backend: str = DEFAULT_BACKEND,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        """``threads`` is the number of threads for the networks on the CPU; None uses every core.

        The other arguments are for the embedded networks. ``backend`` runs them: "onnxruntime", or with
        ``calotype[openvino]`` "openvino" or "openvino-bf16", which is the fastest and the least exact.
        ``device`` is "cpu", or a GPU: "cuda" or "mps", or one such as "cuda:1", through ONNX Runtime's
        provider if its build has one, or else through torch (``calotype[sd]``). "auto" takes a GPU only if
        that costs no time to start: with a build of ONNX Runtime for GPUs, or if torch is imported already.
        ``dtype`` is "auto", "float32", or on a GPU "bfloat16" or "float16". "auto" is float32; on processors
        with exact 8-bit products the encoder computes most of its activations in 8 bits.

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
        """Returns where the embedded networks run, such as "cpu (onnxruntime, float32)".

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

        ``image`` is a Pillow image, an array (uint8[H, W], [H, W, 3] or [H, W, 4]), a path or a binary file.
        ``fields`` are those of :class:`EncodeOptions`. Effort 9 calls ``progress`` after each of
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
        """Yields the file of each of ``images``, in order, as :meth:`encode` makes it.

        ``batch`` images are read at a time, and those of one size pass a Stable Diffusion model together,
        which uses a GPU better and takes more memory. Other models take one image after the other. An error
        ends the iterator, after the files of the images before.
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
        """Decodes a .calo file to a Pillow image, or with ``as_array`` to uint8[H, W] or [H, W, C] in sRGB.

        ``data`` is bytes, a path or a binary file; ``fields`` are those of :class:`DecodeOptions`. Raises
        :class:`FormatError`, :class:`LimitError` and :class:`ModelError`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        if as_array:  # An array cannot carry a profile: its colours are sRGB.
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

        The proportions are kept, and no picture is enlarged. A thumbnail of at most 1/8 of the width and
        height needs no decoder network. ``fields`` are those of :class:`DecodeOptions` except ``reduce``,
        which is chosen by ``size``. Raises the errors of :meth:`decode`.
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
        """Yields the picture of each of ``files``, in order, as :meth:`decode` makes it.

        For ``batch`` see :meth:`encode_many`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        yield from decode_files(map(read_file_data, files), options, self._models, batch=batch)

    def verify(
        self, photo: ImageLike, data: DataLike, options: DecodeOptions | None = None, **fields: Any
    ) -> Fidelity:
        """Compares the picture that ``data`` is decoded to with the ``photo`` that it was encoded from.

        Both are given as for :meth:`encode` and :meth:`decode`; ``fields`` are those of
        :class:`DecodeOptions` except ``box`` and ``reduce``. Raises :class:`SourceError` for a photo of
        another size, ``ValueError`` for ``box`` and ``reduce``, and the errors of :meth:`decode`.
        """
        options = _merge_options(DecodeOptions, options, fields)
        if options.box is not None or options.reduce != 1:
            raise ValueError(f"box (={options.box}) and reduce (={options.reduce}) must keep their defaults")
        original = load_picture(photo, limits=options.limits, strict=options.strict, keep=())
        decoded = self.decode(data, replace(options, keep_metadata=False, provenance=False))
        network = self._models.features(load_calibration().activations)
        return picture_fidelity(original.rgb, original.alpha, decoded, network)


class ProgressiveDecoder:
    """Decodes a .calo file while it arrives.

    :meth:`feed` takes the next bytes, and :meth:`picture` makes a picture from the bytes so far. All calls of
    :meth:`feed` together decode each integer once, so that they take no longer than one :func:`decode`. If
    the bytes are invalid, the call that finds it raises :class:`FormatError` or :class:`LimitError`, and so
    does each later call. An object of this class must not be shared by threads.
    """

    def __init__(
        self, options: DecodeOptions | None = None, *, codec: Codec | None = None, **fields: Any
    ) -> None:
        """``options`` and ``fields`` are those of :meth:`Codec.decode`; ``partial`` has no effect.

        ``codec`` has the models; None uses the models that the process shares.
        """
        check_type("codec", codec, Codec | None)
        self._options = _merge_options(DecodeOptions, options, fields)
        self._models = (codec or _shared)._models
        self._file = ArrivingFile(self._options)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the file, as many as there are."""
        check_type("data", data, bytes | bytearray | memoryview)
        self._file.feed(bytes(data))

    @property
    def fraction(self) -> float:
        """Returns the fraction of the file that has arrived: 0 before the end of the header, 1 at the end.

        The sizes of alpha and metadata, which follow the payload, are not known before they begin to arrive.
        The fraction falls then, if they are large.
        """
        return self._file.fraction

    def picture(self) -> Image.Image:
        """Returns the picture so far, as :func:`decode` does.

        While the file is not complete, the picture has its fraction in ``info["partial"]``, and there is a
        :class:`PartialPictureWarning`. Each call predicts the latents that have not arrived, which takes at
        most as long as decoding them. Raises :class:`TruncatedError` while there is not enough for any
        picture, and :class:`ModelError`.
        """
        return next(decode_opened_files([self._file.opened()], self._options, self._models))


def _merge_options(kind: type[_Options], options: _Options | None, fields: dict[str, Any]) -> _Options:
    """Returns ``options``, or the default options, with ``fields`` replaced. Raises ``TypeError``."""
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
    """Does the same as :meth:`Codec.verify`, with models shared by the process."""
    return _shared.verify(photo, data, options, **fields)
