"""Converts the terms of blocks to scores, by the constants in ``calibration.json``.

::

    terms of blocks ─┬─ symmetric terms ─ is the block changed? ────────────────────┬─ invented
                     └─ terms with a sign ─ has the decoded picture more structure? ─┴─ lost

The constants are those of two logistic regressions, fitted to planted edits by ``python -m benchmarks.truth
--calibrate``. Their classes have equal weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.fidelity.statistics import BlockTerms, Scale

__all__ = ["Calibration", "load_calibration"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """The names of the encoder's ``activations``, the ``scales`` of each, and the weights of the regressions.

    ``change`` float32[terms] and ``direction`` float32[terms] are the weights of the regressions. ``encoder``
    is the SHA-256 of the encoder's file.
    """

    encoder: str
    activations: tuple[str, ...]
    scales: tuple[Scale, ...]
    change: NDArray[np.float32]
    direction: NDArray[np.float32]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Returns the calibration in the content of ``calibration.json``."""
        return cls(
            values["encoder"],
            tuple(scale["activation"] for scale in values["scales"]),
            tuple(
                (np.array(scale["mean"], np.float32), np.array(scale["deviation"], np.float32))
                for scale in values["scales"]
            ),
            np.array(values["change"], np.float32),
            np.array(values["direction"], np.float32),
        )

    def scores(self, terms: BlockTerms) -> NDArray[np.float32]:
        """Returns the scores float32[2, h, w], 0 to 1: for invented structure, and for lost structure.

        The larger of the two is the probability of a change. They are equal if neither picture has more
        structure.
        """
        change = _probability(np.tensordot(self.change, terms.change, axes=1))
        direction = _probability(np.tensordot(self.direction, terms.direction, axes=1))
        scores: NDArray[np.float32] = change * np.minimum(1, 2 * np.stack([direction, 1 - direction]))
        return scores


def _probability(log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
    probability: NDArray[np.float32] = 0.5 * np.tanh(0.5 * log_odds) + np.float32(0.5)
    return probability


@cache
def load_calibration() -> Calibration:
    """Returns the calibration that is part of the package."""
    text = (files("calotype.fidelity") / "calibration.json").read_text("utf-8")
    return Calibration.from_dict(json.loads(text))
