"""Sources of pictures."""

import io
from typing import Any

import numpy as np
from PIL import Image

from calotype.imaging import Picture, load_picture
from calotype.limits import Limits

COLOURS = np.random.default_rng(5).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def load(source: Any, limits: Limits | None = None, strict: bool = True) -> Picture:
    return load_picture(source, limits=limits or Limits(), strict=strict)


def saved(format_: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, format_, **options)
    return file.getvalue()
