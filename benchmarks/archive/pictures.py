"""Pictures to archive, made of the photographs in a folder."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

__all__ = ["cut_squares", "reduce_photographs"]

_PHOTOGRAPHS = 100
"""The largest number of photographs of which squares are cut; they are held in memory."""


def cut_squares(source: Path, folder: Path, count: int, side: int) -> None:
    """Writes ``count`` crops of ``side`` x ``side`` pixels of photographs in ``source``, as PNG files."""
    places, photographs = random.Random(0), dict[Path, Image.Image]()
    files = _photographs(source)[:_PHOTOGRAPHS]
    for number in range(count):
        file = files[number % len(files)]
        if file not in photographs:
            with Image.open(file) as opened:
                photographs[file] = opened.convert("RGB")
        image = photographs[file]
        left, top = (places.randrange(max(length - side, 0) + 1) for length in image.size)
        image.crop((left, top, left + side, top + side)).save(folder / f"{number:06d}.png")


def reduce_photographs(source: Path, folder: Path, count: int, side: int) -> None:
    """Writes ``count`` different photographs of ``source`` as JPEG files, whose longest sides are drawn
    between half of ``side`` and ``side`` pixels.
    """
    generator = random.Random(0)
    files = _photographs(source)
    if len(files) < count:
        raise SystemExit(f"{source} has only {len(files)} photographs")
    for number, file in enumerate(generator.sample(files, count)):
        longest = generator.randint(side // 2, side)
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        image.thumbnail((longest, longest))
        image.save(folder / f"{number:06d}.jpg", quality=90)


def _photographs(source: Path) -> list[Path]:
    return sorted(path for path in source.iterdir() if path.suffix in (".png", ".jpg", ".webp"))
