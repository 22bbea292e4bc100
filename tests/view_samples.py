"""Photographs and measures that tests of parts and small pictures share."""

from __future__ import annotations

from typing import Any

import numpy as np
from golden_files import ROOT
from numpy.typing import NDArray
from PIL import Image

import calotype

TINY: dict[str, Any] = {"model": "tiny"}


def pixels(data: bytes, **options: Any) -> NDArray[np.int64]:
    return calotype.decode(data, as_array=True, **TINY, **options).astype(np.int64)


def photograph(width: int, height: int) -> Image.Image:
    with Image.open(ROOT / "samples" / "coffee.png") as image:
        return image.convert("RGB").resize((width, height), Image.Resampling.BOX)


def psnr(decoded: Image.Image, wanted: Image.Image) -> float:
    error = np.asarray(decoded).astype(float) - np.asarray(wanted)
    return float(10 * np.log10(255**2 / np.square(error).mean()))
