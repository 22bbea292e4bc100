"""Detection of truncated JPEG files, whose missing pixels libjpeg fills with grey."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

__all__ = ["missing_jpeg_rows"]

_FILL = (127, 128)
"""The values of a block without coefficients, in any channel; they are inverted in CMYK."""

_END_OF_IMAGE = b"\xff\xd9"
_FILLER = bytes(range(1, 255)) * 16


def missing_jpeg_rows(file: BinaryIO) -> int:
    """Returns the number of incomplete rows of a JPEG file of one scan, to within seven.

    Pillow refuses a file that ends without a marker. In these files the marker for the end comes too early.
    If the last block looks like libjpeg's filling, coefficients are added before that marker: they change the
    decoded picture only if some were missing. Raises the exceptions of Pillow.
    """
    file.seek(0)
    pixels, height = _decode_reduced(file)
    if not np.isin(pixels[-1, -1], _FILL).all():
        return 0
    file.seek(0)
    data = file.read()
    end = data.rfind(_END_OF_IMAGE)
    if end < 0:
        return 0
    try:
        longer, _ = _decode_reduced(BytesIO(data[:end] + _FILLER + data[end:]))
    except OSError:  # The number of missing rows is not known then.
        return 0
    rows = np.flatnonzero((longer != pixels).reshape(len(pixels), -1).any(1))
    return height - int(rows[0]) * height // len(pixels) if rows.size else 0


def _decode_reduced(file: BinaryIO) -> tuple[NDArray[np.uint8], int]:
    """Returns (the picture at 1/8 of its size if it is large enough, its height at full size)."""
    image = JpegImageFile(file)
    width, height = image.size
    image.draft(image.mode, (max(1, width // 8), max(1, height // 8)))
    image.load()
    return np.asarray(image), height
