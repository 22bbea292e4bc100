"""Conversion of any Pillow mode to an opaque 8-bit picture and its transparency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["split_alpha"]

_OPAQUE = ("L", "RGB", "CMYK", "LAB")
_GREY = ("1", "L", "LA", "La")
_FULL_SCALES = (255.0, 65_535.0, 2.0**31 - 1)
_UINT32 = 2.0**32 - 1
_INT8 = (127.0,)
_WHITE_IS_ZERO = 0
_UNSIGNED, _SIGNED = 1, 2


def split_alpha(
    image: Image.Image, alpha: NDArray[np.uint8] | None = None
) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Returns (the colours in mode L, RGB, CMYK or LAB, the alpha plane uint8[H, W] or None).

    ``alpha``, if given, replaces Pillow's. Deep modes are scaled, not clipped: I;16 from 0..65535, or from
    the range of a TIFF file's bits. The modes I and F have no range unless the format gives them one. The
    full scale is then the smallest of 255, 65535 and 2**31 - 1 (for F also 1 and the maximum) that no value
    exceeds. Negative values and NaN are black. Raises the exceptions of Pillow.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16") or _is_signed_byte(image):
        return _split_deep_mode(image)
    grey = image.mode in _GREY
    if alpha is None and image.has_transparency_data and image.mode not in ("CMYK", "LAB"):
        with_alpha = image.convert("LA" if grey else "RGBA")
        return with_alpha.convert("L" if grey else "RGB"), np.array(with_alpha.getchannel("A"))
    if image.mode in _OPAQUE:
        return image, alpha
    return image.convert("L" if grey else "RGB"), alpha


def _split_deep_mode(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    values = np.asarray(image)
    hidden = image.info.get("transparency")
    alpha = np.where(values == hidden, 0, 255).astype(np.uint8) if isinstance(hidden, int) else None
    scales = _full_scales(image)
    if scales[-1] == _UINT32:
        values = values.view(np.uint32)
    elif scales == _INT8:
        values = values.view(np.int8)
    levels = np.nan_to_num(values.astype(np.float32), posinf=0)
    peak = float(levels.max())
    full = next((scale for scale in scales if peak <= scale), peak)
    shades = np.rint(np.clip(levels, 0, full) * (255 / full)).astype(np.uint8)
    return Image.fromarray(255 - shades if _is_white_zero(image) else shades), alpha


def _full_scales(image: Image.Image) -> tuple[float, ...]:
    """Returns the values that may be white in an image of a deep mode, the smallest first."""
    bits, sample_format = 16, None
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(Base.BitsPerSample, (1,))[0]
        sample_format = image.tag_v2.get(Base.SampleFormat, (_UNSIGNED,))[0]
    if image.mode == "L":
        return _INT8
    if image.mode.startswith("I;16"):
        return (2.0**bits - 1,)
    if image.mode == "F":
        return (1.0, *_FULL_SCALES)
    if image.format == "PPM":  # Its reader scales to 16 bits.
        return (65_535.0,)
    if sample_format is not None and bits == 16:  # These are signed: unsigned ones have a mode of their own.
        return (255.0, 32_767.0)
    return (*_FULL_SCALES[:2], _UINT32) if sample_format == _UNSIGNED else _FULL_SCALES


def _is_signed_byte(image: Image.Image) -> bool:
    """Returns whether a TIFF file has signed 8-bit samples, which Pillow reads as unsigned."""
    if not isinstance(image, TiffImageFile) or image.mode != "L":
        return False
    return bool(image.tag_v2.get(Base.SampleFormat, (_UNSIGNED,))[0] == _SIGNED)


def _is_white_zero(image: Image.Image) -> bool:
    """Returns whether 0 is white, which Pillow's TIFF reader applies at 8 bits and below only."""
    if not isinstance(image, TiffImageFile):
        return False
    return bool(image.tag_v2.get(Base.PhotometricInterpretation, _WHITE_IS_ZERO) == _WHITE_IS_ZERO)
