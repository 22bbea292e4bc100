"""The terms of blocks: what they promise about two pictures, and that tiles do not show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.fidelity import load_calibration, measure
from calotype.fidelity.measure import measure_fidelity
from calotype.fidelity.statistics import BLOCK, BlockTerms, compare_activations
from calotype.models import load_features

CHANNELS = 3


def noise(seed: int, side: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(CHANNELS, side, side)).astype(np.float32)


def compared(original: NDArray[np.float32], decoded: NDArray[np.float32]) -> BlockTerms:
    """The terms of activations at an eighth of the resolution."""
    scale = np.zeros(CHANNELS, np.float32), np.ones(CHANNELS, np.float32)
    return compare_activations([original], [decoded], [scale])


def test_equal_pictures_differ_in_nothing() -> None:
    terms = compared(noise(1), noise(1))
    assert (terms.direction == 0).all()
    assert terms.change[: 2 * CHANNELS].max() < -4  # logarithms of next to nothing
    assert terms.change[-2].min() > 0.99  # the correlation
    assert (terms.change[-1] == 1).all()


def test_exchanged_pictures_have_the_same_change_and_the_opposite_direction() -> None:
    first, second = noise(1), noise(2) * 0.3
    terms, exchanged = compared(first, second), compared(second, first)
    assert np.allclose(terms.change, exchanged.change, atol=1e-5)
    assert np.allclose(terms.direction, -exchanged.direction, atol=1e-5)


def test_direction_says_which_picture_has_more() -> None:
    flat, detail = np.zeros((CHANNELS, 8, 8), np.float32), noise(1)
    assert compared(flat, detail).direction.min() > 3
    assert compared(detail, flat).direction.max() < -3
    assert abs(compared(noise(1, 32), noise(2, 32)).direction.mean()) < 0.3


def test_tiles_leave_no_seams_in_the_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_features(load_calibration().activations, 1)
    rng = np.random.default_rng(3)
    pair = rng.integers(0, 256, (2, 3 * BLOCK, 6 * BLOCK, 3), np.uint8)
    whole = measure_fidelity(*pair, network)
    monkeypatch.setattr(measure, "_TILE", 4)
    tiled = measure_fidelity(*pair, network)
    assert whole.invented.shape == (3, 6)
    assert np.abs(tiled.invented - whole.invented).max() < 1e-3
    assert np.abs(tiled.lost - whole.lost).max() < 1e-3


def test_activations_that_the_encoder_does_not_have() -> None:
    with pytest.raises(ModelError, match="cannot load the embedded model"):
        load_features(["no such activation"], 1)
