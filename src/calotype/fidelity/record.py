"""The record of a picture's fidelity, bounded to a fraction of its file, and the marks of uncertain parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, FidelityRecord, pack_record
from calotype.container.chunks import write_chunk
from calotype.fidelity.measure import Fidelity
from calotype.fidelity.statistics import BLOCK

__all__ = ["mark_uncertain", "mark_unlike", "most_record_bytes", "record_chunk", "uncertainty_plane"]

_MAX_FRACTION = 0.03
"""The largest fraction of the file for a record with a map."""

_BYTES_WITHOUT_MAP = 10
"""The size of a chunk whose record has no map."""

_THRESHOLDS = (0.5, 0.75, 0.9)
"""The least scores of a cell with the levels 1, 2 and 3."""

_COLOUR, _STRONGEST, _STRIPE = (255, 60, 0), 0.7, 4
"""The colour of the stripes that mark uncertain parts, its largest opacity, and their width in pixels."""


def most_record_bytes(size: int) -> int:
    """Returns the largest number of bytes that the chunk may take in a file of ``size`` bytes."""
    return max(_BYTES_WITHOUT_MAP, int(_MAX_FRACTION * size))


def record_chunk(fidelity: Fidelity, decoder: int, most: int) -> bytes:
    """Returns the FIDELITY chunk, of at most ``most`` bytes and with the finest map that fits.

    ``decoder`` is the id of the decoder that made the picture. If no map fits, the record has none.
    """
    levels, cell = _levels(fidelity), BLOCK
    while True:
        rows = tuple("".join(map(str, row)) for row in levels.tolist())
        chunk = _chunk(FidelityRecord(decoder, fidelity.invention, fidelity.loss, cell, rows))
        if len(chunk) <= most:
            return chunk
        if levels.size == 1:
            return _chunk(FidelityRecord(decoder, fidelity.invention, fidelity.loss, 0, ()))
        levels, cell = _halved(levels), 2 * cell


def uncertainty_plane(record: FidelityRecord, width: int, height: int) -> NDArray[np.uint8]:
    """Returns the map of a record as uint8[height, width]: 0 is certain, 255 most uncertain."""
    if not record.cell:
        return np.zeros((height, width), np.uint8)
    return _plane(np.array([list(map(int, row)) for row in record.map]), record.cell, width, height)


def mark_unlike(rgb: NDArray[np.uint8], fidelity: Fidelity) -> NDArray[np.uint8]:
    """Returns the decoded pixels uint8[H, W, 3] with the stripes of :func:`mark_uncertain`, by the scores.

    The result is that of a record whose map has a cell for every block.
    """
    return mark_uncertain(rgb, _plane(_levels(fidelity), BLOCK, fidelity.width, fidelity.height))


def mark_uncertain(rgb: NDArray[np.uint8], uncertainty: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns pixels uint8[H, W, 3] with stripes where ``uncertainty`` uint8[H, W] is above 0.

    The opacity of the stripes grows with the uncertainty. The picture stays visible between them.
    """
    height, width = uncertainty.shape
    stripes = (np.add.outer(np.arange(height), np.arange(width)) // _STRIPE) % 2 == 0
    share = (uncertainty / np.float32(255) * _STRONGEST * stripes).astype(np.float32)[..., None]
    marked = rgb + share * (np.array(_COLOUR, np.float32) - rgb)
    pixels: NDArray[np.uint8] = np.clip(marked + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _levels(fidelity: Fidelity) -> NDArray[np.int64]:
    """Returns the level int[h, w] of each block, 0 to 3, by its larger score."""
    scores = np.maximum(fidelity.invented, fidelity.lost)
    return np.searchsorted(np.array(_THRESHOLDS, np.float32), scores, "right")


def _plane(levels: NDArray[np.int64], cell: int, width: int, height: int) -> NDArray[np.uint8]:
    """Returns levels of cells as uint8[height, width], 255 for the highest."""
    values = (levels * (255 // len(_THRESHOLDS))).astype(np.uint8)
    plane: NDArray[np.uint8] = values.repeat(cell, 0)[:height].repeat(cell, 1)[:, :width]
    return plane


def _halved(levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns levels at half the resolution: the largest of each four cells."""
    padded = np.pad(levels, [(0, side % 2) for side in levels.shape])
    largest: NDArray[np.int64] = padded.reshape(padded.shape[0] // 2, 2, -1, 2).max((1, 3))
    return largest


def _chunk(record: FidelityRecord) -> bytes:
    return write_chunk(Chunk(ChunkType.FIDELITY, pack_record(record)))
