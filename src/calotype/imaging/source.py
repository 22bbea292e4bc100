"""Sources of pictures: a path, a stream, an array or a Pillow image."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.errors import CalotypeError, LimitError, SourceError
from calotype.imaging.webp import PREFIX, webp_size
from calotype.limits import Limits

__all__ = ["PictureSource", "open_picture_source"]

PictureSource = Image.Image | NDArray[np.uint8] | str | os.PathLike[str] | BinaryIO
"""The types that can be encoded; an array is uint8[H, W], uint8[H, W, 3] or uint8[H, W, 4]."""

# EPS is left out: Pillow runs Ghostscript for it, and no program is run for an untrusted file.
_REFUSED_FORMATS = {"EPS"}
_NO_REASON = "not identified by this driver"


@contextmanager
def open_picture_source(source: PictureSource, limits: Limits) -> Iterator[tuple[Image.Image, str]]:
    """Yields (an image whose size is checked and whose pixels are not loaded yet, its name for messages).

    A stream is read from its start if it can seek. Each exception of Pillow, here or within the ``with``
    block, becomes a :class:`SourceError` of one sentence. Raises :class:`LimitError` for a picture larger
    than ``limits``, and ``TypeError`` and ``ValueError`` for other types and shapes.
    """
    name = _source_name(source)
    if isinstance(source, np.ndarray):
        source = _image_of_array(source)
    try:
        with ExitStack() as stack:
            if isinstance(source, (str, os.PathLike)):
                source = stack.enter_context(Path(source).open("rb"))
            image = source if isinstance(source, Image.Image) else _open_by_format(source, name, limits)
            if min(image.size) < 1:
                raise SourceError(f"{name} has no pixels: its size is {image.width}x{image.height}")
            limits.check_size(*image.size)
            # Only the reader of .calo files has a coded size.
            limits.check_size(*getattr(image, "coded_size", image.size))
            yield image, name
    except (CalotypeError, Warning):  # A warning that the user has turned into an error is passed on.
        raise
    except Image.DecompressionBombError as error:
        raise LimitError(f"{name}: Pillow refuses it by its MAX_IMAGE_PIXELS: {error}") from error
    except Exception as error:  # Pillow's readers raise exceptions of many types.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SourceError(f"{name} cannot be read: {reason}") from error


def _source_name(source: PictureSource) -> str:
    if isinstance(source, Image.Image):
        return "the image"
    if isinstance(source, np.ndarray):
        return "the array"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if hasattr(source, "read") and not isinstance(source, io.TextIOBase):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "the stream"
    kind = type(source).__name__
    raise TypeError(f"image (a {kind}) must be a Pillow image, a uint8 array, a path or a binary stream")


def _image_of_array(array: NDArray[np.uint8]) -> Image.Image:
    if array.dtype != np.uint8:
        raise TypeError(f"image (an array of {array.dtype}) must be uint8")
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ValueError(f"image (an array of shape {array.shape}) must be [H, W], [H, W, 3] or [H, W, 4]")
    return Image.fromarray(np.ascontiguousarray(array))


def _open_by_format(file: BinaryIO, name: str, limits: Limits) -> Image.Image:
    """Calls ``Image.open`` without its check of the size against ``PIL.Image.MAX_IMAGE_PIXELS``.

    That global belongs to the application, and changing it, even for a moment, would not be thread-safe. The
    readers in Pillow's registry are therefore called directly, and ``limits`` are checked instead.
    """
    if not _rewind_stream(file):
        file = io.BytesIO(file.read())
    prefix = file.read(PREFIX)
    if not prefix:
        raise SourceError(f"{name} is empty")
    if size := webp_size(prefix):
        limits.check_size(*size)
    tried = set(_REFUSED_FORMATS)
    refusals: list[str] = []
    for load_readers in (Image.preinit, Image.init):
        load_readers()
        for format_ in [known for known in Image.ID if known not in tried]:
            tried.add(format_)
            reader, accepts = Image.OPEN[format_]
            if not _reader_accepts(accepts, prefix[:16]):
                continue
            file.seek(0)
            try:
                return reader(file, "")
            except (
                SyntaxError,
                IndexError,
                TypeError,
                struct.error,
            ) as error:  # By convention this means that the format is another one.
                if accepts is not None:
                    refusals.append(f"{name} cannot be read as {format_}: {_reader_refusal(error)}")
    raise SourceError(refusals[0] if refusals else f"{name} is not an image in a format that can be read")


def _reader_accepts(accepts: Callable[[bytes], bool | str] | None, prefix: bytes) -> bool:
    """Returns whether a reader accepts the first bytes of a file; a reader without a check accepts all."""
    try:
        verdict = accepts is None or accepts(prefix)
    except (IndexError, struct.error):  # The file has fewer bytes than the reader checks.
        return False
    return bool(verdict) and not isinstance(verdict, str)  # A string names what the reader lacks.


def _reader_refusal(error: Exception) -> str:
    """Returns why a reader that accepts the first bytes of a file cannot read it."""
    reason = error.args[0] if error.args else None
    has_reason = isinstance(error, SyntaxError) and isinstance(reason, str) and reason != _NO_REASON
    return str(reason) if has_reason else "it is damaged or ends too early"


def _rewind_stream(file: BinaryIO) -> bool:
    try:
        file.seek(0)
    except (AttributeError, OSError):  # A pipe cannot seek.
        return False
    return True
