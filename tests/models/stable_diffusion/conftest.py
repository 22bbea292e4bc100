"""Tiny pipelines, and a home of their own for what is fetched."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

if find_spec("diffusers") is None:  # that is, without 'calotype[sd]'
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion pipeline in diffusers layout; tests must not change it."""
    from sd_weights import write_pipeline

    return write_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME."""
    import huggingface_hub.constants as constants

    folder = tmp_path / "home"
    monkeypatch.setattr(constants, "HF_HOME", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    return folder


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """Shading, an edge and some texture: uint8[72, 104, 3]."""
    y, x = np.mgrid[0:72, 0:104]
    planes = [40 + x, 200 - 2 * y, 90 + 60 * (x > 50) + 10 * np.sin(y / 2)]
    return np.stack(planes, -1).astype(np.uint8)
