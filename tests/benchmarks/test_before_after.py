from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pictures import SAMPLE, load_rgb
from scripts import before_after


def test_windows_and_bytes_are_comparable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = load_rgb(SAMPLE)[:160, 160:360]
    entries = original, ours, theirs = before_after.entries(rgb)
    assert np.array_equal(original.rgb, rgb[:, 20:180])
    assert original.rgb.shape == ours.rgb.shape == theirs.rgb.shape
    assert ours.size <= 5000 * 160 * 200 // 512**2
    assert theirs.size <= ours.size or theirs.note == ", its smallest"
    Image.fromarray(rgb).save(tmp_path / "portrait.png")

    def known_entries(pixels: NDArray[np.uint8]) -> object:
        assert np.array_equal(pixels, rgb)
        return entries

    monkeypatch.setattr(before_after, "entries", known_entries)
    before_after.main([str(tmp_path / "portrait.png"), "--out", str(tmp_path)])
    with Image.open(tmp_path / "before-after-portrait.webp") as sheet:
        assert sheet.width == 3 * (160 + 16) + 16
    assert f"Calotype: {ours.size:,} bytes" in capsys.readouterr().out
