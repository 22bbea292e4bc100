"""Any Pillow mode to an opaque 8-bit picture and its transparency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["split"]

_OPAQUE = ("L", "RGB", "CMYK", "LAB")
_GREY = ("1", "L", "LA", "La")
_FULL_SCALES = (255.0, 65_535.0, 2.0**31 - 1)


def split(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """(the colours, in mode L, RGB, CMYK or LAB; the alpha plane uint8[H, W] or None).

    Deep modes are scaled, not clipped: I;16 from 0..65535. I and F have no range of their own: the full
    scale is the smallest of 255, 65535 and 2**31 - 1 (and, for F, 1 or the maximum itself) that no value
    exceeds; what is negative or not a number is black. Raises whatever Pillow raises.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _split_deep(image)
    if image.has_transparency_data and image.mode not in ("CMYK", "LAB"):
        grey = image.mode in _GREY
        both = image.convert("LA" if grey else "RGBA")
        return both.convert("L" if grey else "RGB"), np.array(both.getchannel("A"))
    if image.mode in _OPAQUE:
        return image, None
    return image.convert("L" if image.mode in _GREY else "RGB"), None


def _split_deep(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    values = np.asarray(image)
    hidden = image.info.get("transparency")
    alpha = np.where(values == hidden, 0, 255).astype(np.uint8) if isinstance(hidden, int) else None
    if image.mode.startswith("I;16"):
        shades = (values.astype(np.uint32) + 128) // 257
    else:
        levels = np.nan_to_num(values.astype(np.float32), posinf=0)
        peak = float(levels.max())
        scales = (1.0, *_FULL_SCALES) if image.mode == "F" else _FULL_SCALES
        full = next((scale for scale in scales if peak <= scale), peak)
        shades = np.rint(np.clip(levels, 0, full) * (255 / full))
    return Image.fromarray(shades.astype(np.uint8)), alpha
