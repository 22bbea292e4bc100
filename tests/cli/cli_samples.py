"""What the tests of the command line share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import numpy as np
from PIL import Image

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
"""Runs ``calotype`` with the given arguments."""

Refused = Callable[[list[str]], tuple[int, str]]
"""Runs ``calotype`` with arguments that must fail; returns the exit code and the only line of output."""


def picture(mode: str = "RGB", width: int = 48, height: int = 40) -> Image.Image:
    """A smooth picture; with alpha, a transparent left half."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 // width, y * 255 // height, 255 - x * 255 // width, np.where(x < width // 2, 0, 255)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8)).convert(mode)
