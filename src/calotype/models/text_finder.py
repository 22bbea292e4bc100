"""A detector of text in pictures: PP-OCR's, from the installed package ``rapidocr``.

::

    pixels ─ tiles ─ network ─ probability of text ─ connected parts ─ boxes

The network is one of differentiable binarisation (Liao et al., 2020, arXiv:1911.08947): it is trained on
shrunken lines of text, so that neighbouring lines stay apart, and what is found is enlarged again. Only the
file of its weights is read. No code of the package is run, so that nothing is downloaded.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.connected import connected_parts
from calotype.errors import ModelError
from calotype.models.onnx_session import OnnxSession
from calotype.models.windows import full_parts, tile_windows

__all__ = ["TextBox", "TextFinder", "read_text_network"]

_FILE, _SHA256 = (
    "PP-OCRv6_det_small.onnx",
    "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
)

_TILE, _MARGIN, _MULTIPLE = 1024, 128, 32
"""The side of a tile's kept part and the margin around it, in pixels; the sides of what the network sees are
multiples of the last number."""

_THRESHOLD, _MIN_MEAN = 0.3, 0.6
"""A line of text consists of connected pixels whose probability exceeds the first number. Their mean must
exceed the second. Both are the ones of PP-OCR."""

_MIN_THICKNESS, _MAX_THICKNESS = 3, 30
"""The smallest and largest ratio of area to length of a shrunken line, in pixels: letters of about 6 and of
about 50 pixels. Masts are thinner. Thicker is texture, such as a wall's, more often than text."""

_GROWTH = 0.8
"""By how much area / perimeter of a shrunken line it is enlarged: half of PP-OCR's 1.6, which leaves room
around the letters. With it the boxes still cover lines of 8 to 48 pixels."""

TextBox = tuple[int, int, int, int]
"""The left and upper edge, width and height of a line of text, in pixels of the picture."""


class TextFinder:
    """The network of ``graph``; safe to call from several threads."""

    def __init__(self, graph: bytes, threads: int | None = None) -> None:
        self._session = OnnxSession(graph, threads, name=_FILE)

    def find(self, rgb: NDArray[np.uint8]) -> list[TextBox]:
        """Returns the boxes of lines of text in sRGB uint8[H, W, 3], from the top; they may overlap.

        Letters of 8 to 48 pixels are found, in any direction. A box is upright.
        """
        return _line_boxes(self._probability(rgb))

    def _probability(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the probability float32[H, W] of text in uint8[H, W, 3], tile by tile."""
        height, width = rgb.shape[:2]
        padded = np.pad(rgb, ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0)), mode="edge")
        probability = np.empty(padded.shape[:2], np.float32)
        rows, columns = full_parts(padded.shape[0], _TILE), full_parts(padded.shape[1], _TILE)
        for window in tile_windows(rows, columns, _MARGIN):
            bgr = padded[window.read][..., ::-1].transpose(2, 0, 1).astype(np.float32)
            probability[window.kept] = self._session.run(x=bgr / np.float32(127.5) - 1)[0][window.inner]
        return probability[:height, :width]


def _line_boxes(probability: NDArray[np.float32]) -> list[TextBox]:
    """Returns the boxes of lines in a picture with the ``probability`` float32[H, W] of text."""
    boxes = []
    for rows, columns in connected_parts(probability > _THRESHOLD):
        sides = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        thickness = len(rows) / max(sides)
        if not _MIN_THICKNESS <= thickness <= _MAX_THICKNESS or probability[rows, columns].mean() < _MIN_MEAN:
            continue
        growth = ceil(_GROWTH * len(rows) / (2 * sum(sides)))
        height, width = probability.shape
        top, bottom = max(int(rows.min()) - growth, 0), min(int(rows.max()) + 1 + growth, height)
        left, right = max(int(columns.min()) - growth, 0), min(int(columns.max()) + 1 + growth, width)
        boxes.append((left, top, right - left, bottom - top))
    return boxes


def read_text_network() -> bytes:
    """Returns the graph of the detector. Raises :class:`ModelError` without it."""
    spec = find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("finding text needs a package: pip install 'calotype[truth]'")
    path = Path(spec.submodule_search_locations[0]) / "models" / _FILE
    try:
        graph = path.read_bytes()
    except OSError as error:
        wanted = "pip install 'rapidocr==3.10.0'"
        raise ModelError(f"the installed rapidocr has no {_FILE}, which finds text: {wanted}") from error
    actual = hashlib.sha256(graph).hexdigest()
    if actual != _SHA256:
        raise ModelError(f"{path} has the SHA-256 {actual}, not {_SHA256}: reinstall rapidocr")
    return graph
