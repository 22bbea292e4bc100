"""Latents corrected by analysis and synthesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.synthesis import corrected

SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.png"


def test_corrected_latents_show_more_of_the_picture() -> None:
    photo = Image.open(SAMPLE).convert("RGB")
    source = np.asarray(photo, np.float64)
    errors = []
    for effort in (6, 7):
        data = calotype.encode(photo, target_size=5000, scale=1, effort=effort)
        errors.append(float(((calotype.decode(data, as_array=True) - source) ** 2).mean()))
    assert errors[1] < 0.99 * errors[0]


class Halves:
    """A model that keeps half of what it is given: grey pixels for the first channel, and back."""

    margin = 0

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        return np.repeat(pixels[:1, ::8, ::8] - 0.5, 4, 0).astype(np.float32)

    def decode(self, latents: np.ndarray, *_: object) -> np.ndarray:
        return (latents[:3] / 2 + 0.5).repeat(8, 1).repeat(8, 2)


def test_correction_gives_back_a_share_of_what_a_round_trip_takes() -> None:
    latents = np.full((4, 3, 5), 0.2, np.float32)
    model = Halves()
    assert corrected(model, model, latents) == pytest.approx(0.2 + 0.3 * (0.2 - 0.1), abs=0.3 / 255)
