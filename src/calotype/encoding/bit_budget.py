"""The bit budget of a coding pass: the Lagrangian multiplier of each prediction that keeps the pass to it.

Before the latents of a prediction are quantised, the bits of both integers around each latent are known, and
with them the bits of the whole prediction at any multiplier. A pass can therefore meet a number of bits
without being repeated. All remaining predictions save the same fraction of their bits, and the last one
corrects the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BitBudget", "lambda_for_bits"]


@dataclass(frozen=True)
class BitBudget:
    """The ``bits`` that a coding pass may take, and the largest multiplier that may be used to save some.

    ``expected`` are the bits of each prediction at the nominal multiplier; only their proportions are used.
    """

    bits: float
    expected: tuple[float, ...]
    max_lambda: float

    def bits_of_prediction(self, spent: Sequence[float], nominal_spent: float, nominal: float) -> float:
        """Returns the bits that the next prediction may take.

        ``spent`` are the bits of each prediction before it. At the nominal multiplier these would have taken
        ``nominal_spent`` bits together, and the next one would take ``nominal``.
        """
        index = len(spent)
        ratio = (nominal_spent + nominal) / max(sum(self.expected[: index + 1]), 1e-9)
        later = ratio * sum(self.expected[index + 1 :])
        return (self.bits - sum(spent)) * nominal / max(nominal + later, 1e-9)


def lambda_for_bits(
    wanted: float, bits: NDArray[np.float32], saved: NDArray[np.float32], added: NDArray[np.float64]
) -> float:
    """Returns the smallest multiplier with which a prediction takes at most ``wanted`` bits.

    It is 0 if the nearest integers, which take ``bits`` float32[N], are few enough bits. The other integers
    save ``saved`` float32[N] bits and add ``added`` float64[N] to the squared error. If even all that save
    bits are not enough, the multiplier is infinite.
    """
    excess = float(bits.sum()) - wanted
    if excess <= 0:
        return 0.0
    useful = saved > 0
    thresholds = added[useful] / saved[useful]
    order = np.argsort(thresholds)
    number = int(np.searchsorted(np.cumsum(saved[useful][order], dtype=np.float64), excess))
    return float(np.nextafter(thresholds[order[number]], np.inf)) if number < len(order) else np.inf
