from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import patch_codecs


def test_the_table_compares_the_codecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, pixels = next(iter(patch_codecs._parts()))
    monkeypatch.setattr(patch_codecs, "_parts", lambda: [(name, pixels)])
    monkeypatch.setattr(patch_codecs, "RESULTS", tmp_path)
    assert patch_codecs.main() == 0
    row = (tmp_path / "patch-codecs.md").read_text("utf-8").splitlines()[-1]
    vp8, av1, luma, webp, avif = map(int, row.split("|")[2:7])
    assert luma < av1 < vp8
    assert webp == 27
    assert 280 <= avif <= 295


def test_bytes_are_interpolated() -> None:
    assert patch_codecs._smallest(iter([(26.0, 100), (30.0, 200)])) == 150
    assert patch_codecs._smallest(iter([(29.0, 80)])) == 80
    with pytest.raises(ValueError, match="PSNR"):
        patch_codecs._smallest(iter([(20.0, 80)]))
    flat = np.full((4, 4, 3), 7, np.uint8)
    assert patch_codecs._psnr(flat, flat) > 90
