"""Calotype against other codecs on the Kodak pictures: ``python -m benchmarks.quality [OPTION...]``.

Runs ``calotype bench`` on centre crops of 512x512 and at full size; options are passed on to both.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.pictures import ASSETS, RESULTS
from calotype.cli import main as calotype

__all__ = ["main"]

_CODECS = "jpeg,webp,avif,jxl,palette"
_VIEWS = {"kodak-512": ("--crop", "512"), "kodak": ()}


def main(options: Sequence[str]) -> int:
    """Writes a folder of results for each view; returns the exit code, the highest of the two."""
    graph = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"
    always = [
        "bench",
        str(ASSETS / "data" / "kodak"),
        "--lpips",
        str(graph),
        "--codecs",
        _CODECS,
    ]
    return max(
        calotype([*always, "--out", str(RESULTS / name), *view, *options]) for name, view in _VIEWS.items()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
