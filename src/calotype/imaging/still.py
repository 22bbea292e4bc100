"""Small pictures coded by Pillow's VP8 (WebP) or AV1 (AVIF), without the headers that can be reconstructed.

::

    pixels ─ Pillow ─ WebP or AVIF file ─ strip ─┐
    pixels ─ Pillow ─ WebP or AVIF file ─ wrap ──┴─ bytes, from which the size is missing
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.WebPImagePlugin import WebPImageFile

from calotype.errors import FormatError, LimitError, UnsupportedError
from calotype.imaging.av1 import avif_of_frame, frame_of_avif

__all__ = ["has_av1", "pack_av1", "pack_vp8", "unpack_av1", "unpack_vp8"]

_VP8_TAG, _VP8_HEADER = 3, 10
"""Bytes of a key frame before its start code and its size, and before its first partition."""

_VP8_START_CODE = b"\x9d\x01\x2a"
_AV1_SETTINGS: dict[str, Any] = {
    "codec": "aom",
    "advanced": {"tune": "psnr", "tune-content": "screen"},
}
"""Settings of libaom. At equal bytes the tools for screen content give letters 2 to 4 dB, and tuning for
squared errors gives all pictures 1 dB. Other builds of Pillow have another encoder."""

_QUICK, _THOROUGH = 6, 2
"""The speeds of libaom. The slower one takes five times the time and 15 % fewer bytes for several lines of
text, 9 % fewer for small faces."""


def has_av1() -> bool:
    """Returns whether this Pillow reads and writes AV1."""
    return features.check("avif") is True


def pack_vp8(rgb: NDArray[np.uint8], quality: int) -> bytes:
    """Codes uint8[H, W, 3] with VP8 at a quality of 0 to 100; the start code and the size are left out."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "WEBP", quality=quality, method=6)
    data = file.getvalue()
    size = int.from_bytes(data[16:20], "little")
    frame = data[20 : 20 + size]
    return frame[:_VP8_TAG] + frame[_VP8_HEADER:]


def unpack_vp8(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """Decodes a picture of :func:`pack_vp8` to uint8[height, width, 3].

    Raises :class:`FormatError` and :class:`LimitError`.
    """
    if len(data) < _VP8_TAG or data[0] & 1:
        raise FormatError("the VP8 picture of patches is no key frame")
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    frame = data[:_VP8_TAG] + _VP8_START_CODE + size + data[_VP8_TAG:]
    chunk = b"VP8 " + len(frame).to_bytes(4, "little") + frame + bytes(len(frame) % 2)
    file = b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
    return _pixels_of(WebPImageFile, file, width, height)


def pack_av1(
    rgb: NDArray[np.uint8], quality: int, *, monochrome: bool, thorough: bool = False
) -> bytes | None:
    """Codes uint8[H, W, 3] with AV1 at a quality of 0 to 100, as the tools byte and the frame.

    With ``monochrome`` only the luma is coded. ``thorough`` takes more time for fewer bytes. None means that
    this encoder has used a tool that patches cannot have.
    """
    image = Image.fromarray(rgb).convert("L" if monochrome else "RGB")
    settings: dict[str, Any] = {
        "quality": quality,
        "subsampling": "4:0:0" if monochrome else "4:2:0",
        "speed": _THOROUGH if thorough else _QUICK,
    }
    file = io.BytesIO()
    try:
        image.save(file, "AVIF", **settings, **_AV1_SETTINGS)
    except ValueError:
        file = io.BytesIO()
        image.save(file, "AVIF", **settings)
    return frame_of_avif(file.getvalue(), *image.size, monochrome=monochrome)


def unpack_av1(data: bytes, width: int, height: int, *, monochrome: bool) -> NDArray[np.uint8]:
    """Decodes a picture of :func:`pack_av1` to uint8[height, width, 3].

    Raises :class:`UnsupportedError` if this Pillow cannot read AV1, :class:`FormatError` and
    :class:`LimitError`.
    """
    file = avif_of_frame(data, width, height, monochrome=monochrome)
    if not has_av1():
        raise UnsupportedError("this Pillow was built without AVIF and cannot read the file's patches")
    return _pixels_of(AvifImageFile, file, width, height)


def _pixels_of(
    reader: type[AvifImageFile] | type[WebPImageFile], file: bytes, width: int, height: int
) -> NDArray[np.uint8]:
    """Returns uint8[height, width, 3] of a file. Raises :class:`FormatError` and :class:`LimitError`."""
    try:
        image = reader(io.BytesIO(file))
        pixels = np.array(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise LimitError(f"the patches: Pillow refuses them by its MAX_IMAGE_PIXELS: {error}") from error
    except Exception as error:  # Pillow's readers raise exceptions of many types.
        raise FormatError(f"the picture of the patches is damaged: {error}") from error
    if pixels.shape != (height, width, 3):
        raise FormatError(f"the picture of the patches has {image.width}x{image.height} pixels")
    return pixels
