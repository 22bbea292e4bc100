"""Fidelity: the structure of a decoded picture that the original does not have, and the structure that is
lost.

::

    original, decoded picture ─ statistics of blocks ─ calibration ─ scores of blocks ─ regions, heat map
"""

from __future__ import annotations

from calotype.fidelity.calibration import load_calibration
from calotype.fidelity.measure import Fidelity, FidelityRegion, measure_fidelity, picture_fidelity
from calotype.fidelity.record import (
    mark_uncertain,
    mark_unlike,
    most_record_bytes,
    record_chunk,
    uncertainty_plane,
)

__all__ = [
    "Fidelity",
    "FidelityRegion",
    "load_calibration",
    "mark_uncertain",
    "mark_unlike",
    "measure_fidelity",
    "most_record_bytes",
    "picture_fidelity",
    "record_chunk",
    "uncertainty_plane",
]
