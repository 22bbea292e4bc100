"""Before and after at 100 %: ``python -m scripts.before_after [PICTURE...]``.

Each picture is encoded as a whole, to as many bytes for each pixel as 2,500 at 512x512; AVIF gets the largest
quality that takes no more than that file. The pictures show the central square of 300 pixels, pixel for
pixel: the original, Calotype and AVIF. Without arguments the six photographs of ``samples/`` are used. The
script writes ``docs/images/before-after-NAME.webp``, at a quality without visible loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import ROOT, SAMPLE, load_rgb
from calotype.compare.codecs import CalotypeCodec, avif
from scripts.demo import Entry, side_by_side

__all__ = ["entries", "main"]

_BUDGET = 2500
_SIDE = 300
_WEBP = {"quality": 92, "method": 6}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.before_after", description=__doc__)
    photos = sorted(path for path in SAMPLE.parent.iterdir() if path.suffix != ".md")
    parser.add_argument("pictures", type=Path, nargs="*", default=photos, metavar="PICTURE")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", metavar="FOLDER")
    options = parser.parse_args(arguments)
    for picture in options.pictures:
        codecs = entries(load_rgb(picture))
        sheet = side_by_side(codecs, text_size=15)
        sheet.save(options.out / f"before-after-{picture.stem}.webp", "WEBP", **_WEBP)
        print(f"{picture.name}: {', '.join(entry.label for entry in codecs[1:])}")


def entries(rgb: NDArray[np.uint8]) -> list[Entry]:
    """Returns the centres of the original uint8[H, W, 3] and of the pictures by Calotype and by AVIF."""
    height, width = rgb.shape[:2]
    (ours,) = CalotypeCodec().compress(rgb, [_BUDGET * height * width // 512**2])
    (theirs,) = avif().compress(rgb, [ours.size])
    side = min(_SIDE, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    window = np.s_[top : top + side, left : left + side]
    return [
        Entry("Original", rgb[window], rgb.size, " of pixels"),
        Entry("Calotype", ours.rgb[window], ours.size),
        Entry("AVIF", theirs.rgb[window], theirs.size, "" if theirs.fits else ", its smallest"),
    ]


if __name__ == "__main__":
    main()
