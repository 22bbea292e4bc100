"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np

from calotype.compare.metrics.base import Pixels

__all__ = ["Psnr"]


class Psnr:
    """The PSNR over the three channels together; infinite for equal pictures."""

    title, unit, digits, lower_is_better = "PSNR", "dB", 2, False
    about = "Peak signal-to-noise ratio: fidelity, pixel by pixel. Invented detail counts as error."

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        error = float(np.mean((reference.astype(np.float64) - picture.astype(np.float64)) ** 2))
        return math.inf if error == 0 else 10 * math.log10(255**2 / error)
