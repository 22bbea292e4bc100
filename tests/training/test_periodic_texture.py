"""The loss on periodic texture is sensitive to that texture only."""

from __future__ import annotations

import pytest
import torch
from periodic_texture import ALIKE, excess_texture, repeating


def grained(seed: int, deviation: float = 0.02) -> torch.Tensor:
    noise = torch.randn(4, 3, 192, 128, generator=torch.Generator().manual_seed(seed))
    return 0.5 + deviation * noise


def pattern(deviation: float) -> torch.Tensor:
    cell = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    return (deviation * (cell - cell.mean()) / cell.std()).repeat(24, 16)


def test_the_square_of_periodic_texture_is_found_under_noise() -> None:
    assert float(repeating(grained(2), ALIKE).mean()) == pytest.approx(0, abs=2e-7)
    square = float(repeating(grained(2) + pattern(0.01), ALIKE).mean())
    assert square == pytest.approx(0.01**2 * 63 / 64, rel=0.02)


def test_periodic_texture_of_the_original_costs_nothing() -> None:
    original = grained(3, 0.001) + pattern(0.01)
    shown = grained(4, 0.001)
    assert float(excess_texture(original, original)) == 0
    assert float(excess_texture(shown, original)) < 1e-8  # what is missing is for the other losses
    assert float(excess_texture(original, shown)) > 1e-5


def test_texture_hides_a_pattern() -> None:
    even, rough = (float(excess_texture(grained(5, d) + pattern(0.01), grained(5, d))) for d in (0.001, 0.1))
    assert 0 < rough < 0.05 * even
