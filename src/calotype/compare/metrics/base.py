"""The interface of metrics."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Metric", "Pixels", "UnmeasurableError"]

Pixels = NDArray[np.uint8]
"""The type of pictures: uint8[H, W, 3] in sRGB."""


class UnmeasurableError(ValueError):
    """This metric has no value for pictures like these; the message says why."""


class Metric(Protocol):
    """A measure of the difference between a picture and its original.

    The constructor raises :class:`ModelError` if the metric cannot run here.
    """

    title: str
    unit: str
    digits: int
    """The number of decimals to show."""
    lower_is_better: bool
    about: str
    """One sentence for readers of a report."""

    def __call__(self, reference: Pixels, picture: Pixels) -> float:
        """Measures two pictures uint8[H, W, 3]. Raises :class:`UnmeasurableError`."""
        ...
