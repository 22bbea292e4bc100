"""Makes the pictures of the chapter on truth in the guide: ``python -m scripts.truth_pictures``.

They show squares of 300 pixels of the samples at 100 %: the photograph, the decoded picture, the heat map of
``calotype verify --map``, and the stripes of ``calotype decode --overlay``. Text is drawn into one of the
photographs. The script writes ``docs/images/truth-NAME.webp``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import calotype
from benchmarks.pictures import ROOT, centre, load_rgb
from benchmarks.subjects import drawn_text

__all__ = ["main", "protected_sheet", "sheet"]

_SIDE, _MARGIN, _CAPTION = 300, 16, 26
_WEBP = {"quality": 92, "method": 6}


@dataclass(frozen=True)
class _Case:
    """A photograph of the samples, the bytes of its file at 512x512, and left and upper edge of the square.

    ``text`` is drawn into it; ``protected`` compares a file that protects text with one that does not.
    """

    name: str
    size: int
    left: int
    top: int
    text: bool = False
    protected: bool = False


_CASES = (
    _Case("astronaut", 2500, 90, 0),
    _Case("grace_hopper", 2500, 110, 80),
    _Case("coffee", 2500, 60, 60, text=True),
    _Case("coffee", 5000, 60, 60, text=True, protected=True),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.truth_pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", metavar="FOLDER")
    options = parser.parse_args(arguments)
    codec = calotype.Codec()
    for case in _CASES:
        path = next((ROOT / "samples").glob(f"{case.name}.*"))
        rgb = load_rgb(path)
        if case.text:
            rgb = drawn_text(case.name, centre(rgb, min(rgb.shape[:2])), 0).rgb
        make = protected_sheet if case.protected else sheet
        picture, label = make(rgb, case.size, case.left, case.top, codec)
        name = f"{case.name}-protected" if case.protected else case.name
        picture.save(options.out / f"truth-{name}.webp", "WEBP", **_WEBP)
        print(f"{name}: {label}")


def protected_sheet(
    rgb: NDArray[np.uint8], size: int, left: int, top: int, codec: calotype.Codec
) -> tuple[Image.Image, str]:
    """Returns the photograph, a file without protection and one that protects text, as :func:`sheet` does."""
    height, width = rgb.shape[:2]
    target = size * height * width // 512**2
    pictures = {"Photograph": Image.fromarray(rgb)}
    sizes = []
    for name, protect in (("Without protection", "none"), ("With --protect text", "text")):
        data = codec.encode(rgb, target_size=target, protect=protect)
        pictures[f"{name}, {len(data):,} bytes"] = codec.decode(data)
        sizes.append(f"{len(data):,} bytes")
    return _in_a_row(pictures, left, top), ", ".join(sizes)


def sheet(
    rgb: NDArray[np.uint8], size: int, left: int, top: int, codec: calotype.Codec
) -> tuple[Image.Image, str]:
    """Returns the four squares of uint8[H, W, 3] in a row, and a line about the file.

    ``size`` is the target size at 512x512, in proportion to the area.
    """
    height, width = rgb.shape[:2]
    data = codec.encode(rgb, target_size=size * height * width // 512**2, record=True)
    decoded = codec.decode(data)
    fidelity = codec.verify(rgb, data)
    pictures = {
        f"Photograph, {rgb.size:,} bytes": Image.fromarray(rgb),
        f"Calotype, {len(data):,} bytes": decoded,
        "Invented (red), lost (blue)": fidelity.heat_map(decoded),
        "The record in the file": codec.decode(data, overlay=True),
    }
    label = f"{len(data):,} bytes, invention {fidelity.invention:.2f}, loss {fidelity.loss:.2f}"
    return _in_a_row(pictures, left, top), label


def _in_a_row(pictures: Mapping[str, Image.Image], left: int, top: int) -> Image.Image:
    """Returns the same square of each picture, with its name above."""
    cell = _SIDE + _MARGIN
    canvas = Image.new("RGB", (len(pictures) * cell + _MARGIN, _CAPTION + _SIDE + _MARGIN), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    for number, (name, picture) in enumerate(pictures.items()):
        x = _MARGIN + number * cell
        draw.text((x, _CAPTION - 6), name, "black", font, anchor="ls")
        canvas.paste(picture.convert("RGB").crop((left, top, left + _SIDE, top + _SIDE)), (x, _CAPTION))
    return canvas


if __name__ == "__main__":
    main()
