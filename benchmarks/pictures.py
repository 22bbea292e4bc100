"""The pictures that benchmarks measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = [
    "ASSETS",
    "POOLS",
    "RESULTS",
    "ROOT",
    "SAMPLE",
    "centre",
    "load_rgb",
    "mirror_to",
    "sample_photographs",
    "training_photographs",
]

ROOT = Path(__file__).resolve().parents[1]
ASSETS = Path(os.environ.get("CALOTYPE_ASSETS", ROOT.parent / "shared"))
SAMPLE = ROOT / "samples" / "astronaut.png"
_EXTENSIONS = {".jpg", ".png", ".webp"}
RESULTS = Path(__file__).parent / "results"


def _kodak(side: int) -> list[Path]:
    return sorted((ASSETS / "data" / "kodak").glob("*.png"))


def _photographs(side: int, *, held_out: bool) -> list[Path]:
    """Returns the photographs that training holds out, or uses, of at least ``side`` x ``side`` pixels."""
    names = set((ROOT / "training" / "held_out.txt").read_text("utf-8").split())
    files = [
        file
        for folder in ("train", "train2")
        for file in (ASSETS / "data" / folder).glob("*.*")
        if file.suffix in _EXTENSIONS and (file.name in names) == held_out
    ]
    return [file for file in sorted(files, key=lambda file: file.name) if _shortest_side(file) >= side]


def _held_out(side: int) -> list[Path]:
    return _photographs(side, held_out=True)


def sample_photographs(side: int) -> list[Path]:
    """Returns the photographs of the checkout, of at least ``side`` x ``side`` pixels."""
    files = [file for file in (ROOT / "samples").glob("*.*") if file.suffix in _EXTENSIONS]
    return [file for file in sorted(files) if _shortest_side(file) >= side]


def training_photographs(side: int) -> list[Path]:
    """Returns the photographs that training uses, of at least ``side`` x ``side`` pixels."""
    return _photographs(side, held_out=False)


def _shortest_side(path: Path) -> int:
    with Image.open(path) as image:
        return min(image.size)


POOLS: Mapping[str, Callable[[int], list[Path]]] = {"kodak": _kodak, "held-out": _held_out}
"""The functions that list pictures for centre crops of a given side, by the names of the pools."""


def load_rgb(path: Path) -> NDArray[np.uint8]:
    """Returns the pixels of a file, upright, as uint8[H, W, 3]."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def centre(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Returns the square of ``side`` pixels at the centre of uint8[H, W, 3]."""
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    return np.ascontiguousarray(rgb[top : top + side, left : left + side])


def mirror_to(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Returns a picture of any size, uint8[height, width, 3], of ``rgb`` and its mirror images side by side.

    Unlike an enlargement it has the detail of a photograph everywhere.
    """
    below, right = max(0, height - rgb.shape[0]), max(0, width - rgb.shape[1])
    padded = np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="symmetric")
    return np.ascontiguousarray(padded[:height, :width])
