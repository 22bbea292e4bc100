"""Detection of truncated JPEG files, whose missing pixels libjpeg fills with grey."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

__all__ = ["missing_jpeg_rows"]

_FILL = (127, 128)
"""What a block without coefficients is, in any channel; inverted in CMYK."""

_END_OF_IMAGE = b"\xff\xd9"
_FILLER = bytes(range(1, 255)) * 16


def missing_jpeg_rows(file: BinaryIO) -> int:
    """Returns the number of incomplete rows of a JPEG file of one scan, to within seven.

    Files that just stop are refused by Pillow; these have a marker for their end too early. If the last
    block is as libjpeg fills up, more coefficients before that marker change what is decoded only if some
    are missing. Raises whatever Pillow raises.
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
    except OSError:  # then nothing is known
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
