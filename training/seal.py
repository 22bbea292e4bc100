"""Stage 5: writes ``sha256.json`` beside the shipped weights. ``python training/seal.py``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

WEIGHTS = Path(__file__).resolve().parents[1] / "src" / "calotype" / "models" / "weights"


def main() -> None:
    files = sorted(path for path in WEIGHTS.iterdir() if path.suffix in (".onnx", ".npz"))
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (WEIGHTS / "sha256.json").write_text(json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    main()
