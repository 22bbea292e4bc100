"""The table and the resuming of benchmarks.optimise, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import optimise

FOUND = {"bytes": 1250, "seconds": 12.34, "psnr": 20.0, "ssimulacra2": -3.0, "lpips": 0.1, "dists": 0.2}


def test_existing_figures_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "kodak").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (40, 48), "red").save(tmp_path / "data" / "kodak" / f"{name}.png")
    calls: list[tuple[Any, ...]] = []

    def measure(rgb: np.ndarray[Any, Any], *arguments: Any) -> dict[str, Any]:
        calls.append((rgb.shape, *arguments[:-1]))
        return dict(FOUND, psnr=20.0 + len(calls))

    monkeypatch.setattr(optimise, "ASSETS", tmp_path)
    monkeypatch.setattr(optimise, "measure", measure)
    monkeypatch.setattr(optimise, "Judges", object)
    fixed = ["--crop", "32", "--models", "pocket", "--out", str(tmp_path / "results" / "e.md")]
    optimise.main([*fixed, "--pictures", "a", "--aims", "default"])
    optimise.main([*fixed, "--pictures", "a", "b", "--aims", "default", "effort 9"])
    assert calls == [
        ((32, 32, 3), "pocket", aim, None) for aim in ("default", "effort 9", "default", "effort 9")
    ]
    text = (tmp_path / "results" / "e.md").read_text()
    assert "crops of 32×32, at most 19 bytes" in text
    assert "| pocket | default | 2 | 1,250 | 22.00 | -3.0 | 0.1000 | - | 0.2000 | 12 |" in text
    assert "| b | pocket | effort 9 | 1,250 | 24.00 |" in text
