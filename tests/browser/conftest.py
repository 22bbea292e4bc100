"""What the tests of the browser's decoder need: its build, and node for the tests that run there."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECODER = ROOT / "web-decoder"
OLDEST_NODE = (20, 12)
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built decoder."""
    dist = DECODER / "dist"
    if not (dist / "calotype.js").is_file():
        pytest.skip("the browser's decoder is not built: run make web, which needs Node 20.12 and npm")
    sources = [*(DECODER / "src").iterdir(), *(DECODER / "kernels").iterdir(), DECODER / "build.mjs"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
    assert (dist / "sources.sha256").read_text("utf-8") == digest, (
        "sources changed after the build: run make web"
    )
    return dist


@pytest.fixture(scope="session")
def node(built: Path) -> str:
    command = shutil.which("node")
    if command is None:
        pytest.skip("needs node: apt-get install nodejs")
    said = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:2])
    if version < OLDEST_NODE:
        pytest.skip(f"needs Node 20.12 or newer, not {said.strip()}")
    return command
