"""Resampling of pictures and of parts of them."""

from __future__ import annotations

import numpy as np

from calotype.imaging import resample_area, resample_picture


def test_a_part_is_resampled_as_within_the_whole() -> None:
    """Noise overshoots between the two passes, so that their order shows. Positions have fractions."""
    rgb = np.random.default_rng(0).integers(0, 256, (99, 94, 3)).astype(np.uint8)
    whole = resample_picture(rgb, 125, 132).astype(int)
    for left, top, width, height in ((0, 128, 125, 4), (100, 0, 25, 132), (14, 128, 84, 4), (31, 7, 9, 50)):
        area = (left * 94 / 125, top * 0.75, (left + width) * 94 / 125, (top + height) * 0.75)
        part = resample_area(rgb, width, height, area).astype(int)
        assert np.abs(part - whole[top : top + height, left : left + width]).max() <= 1
