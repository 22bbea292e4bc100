from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'calotype[test]'")
sys.path.append(str(Path(__file__).parents[2] / "training"))
