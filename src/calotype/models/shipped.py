"""The files of weights that are part of the package, each tied to its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from calotype.errors import ModelError

__all__ = ["read_shipped_file", "shipped_hashes", "shipped_sizes"]


def _path(name: str) -> Traversable:
    return files("calotype.models") / "weights" / name


@cache
def shipped_hashes() -> dict[str, str]:
    """Returns the SHA-256 of every shipped file, which ``training/seal.py`` writes."""
    return dict(json.loads(_path("sha256.json").read_text("utf-8")))


def read_shipped_file(name: str) -> bytes:
    """Reads a shipped file. Raises :class:`ModelError` if it is missing or has another SHA-256."""
    try:
        data = _path(name).read_bytes()
    except OSError as error:
        raise ModelError(f"the embedded model file {name} is missing: reinstall calotype") from error
    actual, expected = hashlib.sha256(data).hexdigest(), shipped_hashes()[name]
    if actual != expected:
        raise ModelError(f"{name} has the SHA-256 {actual}, not {expected}: reinstall calotype")
    return data


def shipped_sizes(*names: str) -> dict[str, int]:
    """Returns the sizes in bytes of those of the files that are there, without reading them."""
    sizes = {}
    for name in names:
        path = _path(name)
        if path.is_file():
            with path.open("rb") as stream:
                sizes[name] = stream.seek(0, os.SEEK_END)
    return sizes
