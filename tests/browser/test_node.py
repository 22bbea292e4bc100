"""The exact half of the conformance suite in the browser's decoder, run by node."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

DECODER = Path(__file__).parents[2] / "web-decoder"


@pytest.mark.slow  # 4 seconds
def test_the_conformance_suite_passes(node: str) -> None:
    done = subprocess.run(
        [node, "test/run.mjs", "--test-reporter=tap"],
        cwd=DECODER,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    suite = json.loads((DECODER.parent / "conformance" / "suite.json").read_text("utf-8"))
    assert passed
    others = sum(
        (DECODER / "test" / name).read_text("utf-8").count("  test(")
        for name in ("choice.test.ts", "help.test.ts")
    )
    assert int(passed[1]) == 2 * len(suite["files"] + suite["prefixes"]) + len(suite["hostile"]) + 2 + others


def test_a_page_loads_less_than_9_megabytes(built: Path) -> None:
    code = [(built / name).read_bytes() for name in ("calotype.js", "calotype-worker.js", "kernels.wasm")]
    packed = sum(len(gzip.compress(content, 9)) for content in code)
    assert packed < 60_000
    weights = ("pocket-decoder.onnx.gz", "context-242.npz", "thumbnail.npz")
    assert packed + sum((built / name).stat().st_size for name in weights) < 9_000_000


def test_the_lock_names_no_registry() -> None:
    """Everybody's own npm configuration says where packages come from."""
    lock = json.loads((DECODER / "package-lock.json").read_text("utf-8"))
    packages = [entry for name, entry in lock["packages"].items() if name]
    assert packages
    for entry in packages:
        assert entry.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/")
        assert entry["integrity"].startswith("sha512-")
