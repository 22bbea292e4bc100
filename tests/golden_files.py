"""The golden files, by the name of their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from calotype.limits import Limits

ROOT = Path(__file__).parents[1]
GOLDEN = {path.parent.name: path for path in (ROOT / "tests" / "golden").rglob("picture.calo")}
LIMITS = Limits(max_pixels=1 << 20)

ignoring_warnings = pytest.mark.filterwarnings("ignore::calotype.CalotypeWarning")


def golden(name: str) -> bytes:
    return GOLDEN[name].read_bytes()
