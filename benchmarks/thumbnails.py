"""Pictures without the decoder network: ``python -m benchmarks.thumbnails``.

Centre crops of 512x512 of Kodak pictures and of held-out photographs are coded at two qualities and decoded
at 1/8 and 1/16 of the size with ``reduce``. For comparison, the whole decoded picture is reduced by a box
filter, and a grey picture is made of the original's brightness, blurred with a deviation of two pixels of the
small picture. All are compared with the original reduced by a box filter. The figures are PSNR, LPIPS with
AlexNet (of pictures enlarged four times, because the network needs a minimum size), and the mean absolute
difference of a picture's mean colour in 1/255. The processor time is the least of three, on one thread. The
results are in results/thumbnails.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import calotype
from benchmarks.judges import Judges
from benchmarks.ledger import fingerprint
from benchmarks.pictures import POOLS, RESULTS, centre, load_rgb
from calotype.compare.metrics import Psnr

__all__ = ["QUALITIES", "main", "measured", "report"]

SIDE = 512
QUALITIES = (50, 20)
_REDUCTIONS = (8, 16)
_WAYS = ("reduce", "box filter over the whole", "grey guess")
_BLUR = 2
_ENLARGED = 4

Figures = dict[tuple[int, int, str], list[tuple[float, float, float]]]
"""(PSNR, LPIPS, colours) of each picture, by quality, reduction and way."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.thumbnails",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--count", type=int, default=6, metavar="N", help="the number of pictures of each kind"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "thumbnails.md", metavar="FILE")
    options = parser.parse_args(arguments)
    codec, judges = calotype.Codec(threads=1), Judges()
    figures: Figures = defaultdict(list)
    shares: dict[int, list[float]] = defaultdict(list)
    for pool in ("kodak", "held-out"):
        every = POOLS[pool](SIDE)
        for path in every[:: max(1, len(every) // options.count)][: options.count]:
            rgb = centre(load_rgb(path), SIDE)
            for quality in QUALITIES:
                data = codec.encode(rgb, quality=quality)
                for reduction in _REDUCTIONS:
                    for way, measured_figures in measured(rgb, data, reduction, codec, judges).items():
                        figures[quality, reduction, way].append(measured_figures)
            whole = _seconds(partial(codec.decode, data))
            for reduction in _REDUCTIONS:
                seconds = _seconds(partial(codec.decode, data, reduce=reduction))
                shares[reduction].append(seconds / whole)
            print(path.name, file=sys.stderr, flush=True)
    text = report(figures, shares)
    print(text)
    options.out.write_text(text, "utf-8")


def measured(
    rgb: NDArray[np.uint8], data: bytes, reduction: int, codec: calotype.Codec, judges: Judges
) -> dict[str, tuple[float, float, float]]:
    """Returns (PSNR, LPIPS, colours) of each way, for a file of ``rgb`` uint8[H, W, 3]."""
    photo = Image.fromarray(rgb)
    wanted = photo.reduce(reduction)
    guess = wanted.convert("L").filter(ImageFilter.GaussianBlur(_BLUR)).convert("RGB")
    pictures = codec.decode(data, reduce=reduction), codec.decode(data).reduce(reduction), guess
    return {way: _figures(wanted, image, judges) for way, image in zip(_WAYS, pictures, strict=True)}


def _figures(wanted: Image.Image, image: Image.Image, judges: Judges) -> tuple[float, float, float]:
    pair = [np.asarray(picture) for picture in (wanted, image)]
    size = (wanted.width * _ENLARGED, wanted.height * _ENLARGED)
    large = [np.asarray(picture.resize(size, Image.Resampling.BICUBIC)) for picture in (wanted, image)]
    colours = np.abs(pair[1].mean((0, 1)) - pair[0].mean((0, 1))).mean()
    return Psnr()(*pair), judges(*large)["lpips_alex"], float(colours)


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def report(figures: Figures, shares: dict[int, list[float]]) -> str:
    """Returns the page of results."""
    pictures = len(next(iter(figures.values())))
    lines = [
        "# Thumbnails\n",
        f"`python -m benchmarks.thumbnails`, calotype {calotype.__version__}, weights {fingerprint()}: "
        f"{pictures} centre crops of {SIDE}×{SIDE}, means; compared with the box-filtered original.\n",
        "| quality | size | made by | PSNR ↑ | LPIPS-Alex ↓ | mean colour, off by |",
        "| ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for (quality, reduction, way), values in figures.items():
        psnr, lpips, colours = np.mean(values, axis=0)
        lines.append(f"| {quality} | 1/{reduction} | {way} | {psnr:.1f} | {lpips:.3f} | {colours:.2f} |")
    lines.append("\nProcessor time, of that of decoding the whole picture (entropy decoding included):")
    lines += [f"1/{reduction}: {np.mean(values):.3f}" for reduction, values in shares.items()]
    return "\n".join(lines[:-2]) + " " + ", ".join(lines[-2:]) + ".\n"


if __name__ == "__main__":
    main()
