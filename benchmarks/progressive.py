"""The quality of the beginning of a file: ``python -m benchmarks.progressive``.

Centre crops of 512x512 of twelve held-out photographs and of the Kodak pictures are coded to a target size.
10, 25, 50, 75 and 100 % of the file's bytes are decoded and measured by PSNR, LPIPS with SqueezeNet and with
AlexNet, and DISTS. Every figure is written to results/progressive.csv at once, so that a second run continues
an interrupted one; figures of other weights are dropped. When every picture has every figure, the table
(results/progressive.md) and a strip of one picture (docs/images/progressive.webp) are written.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import calotype
from benchmarks.judges import Judges
from benchmarks.ledger import Figures, Ledger, fingerprint
from benchmarks.pictures import POOLS, RESULTS, ROOT, SAMPLE, centre, load_rgb
from benchmarks.scene import LPIPS_GRAPH
from calotype.compare.metrics import Lpips, Psnr

__all__ = ["SHARES", "Kit", "main", "measured", "prefixes", "report", "strip"]

SIDE = 512
SHARES = (10, 25, 50, 75, 100)
"""The parts of a file that are decoded, in per cent of its bytes."""

_COUNTS: Mapping[str, int | None] = {"held-out": 12, "kodak": None}
_TITLES = {"held-out": "held-out photographs", "kodak": "Kodak pictures"}
_METRICS = {
    "psnr": ("PSNR ↑", ".1f"),
    "lpips_sq": ("LPIPS-Sq ↓", ".3f"),
    "lpips_alex": ("LPIPS-Alex ↓", ".3f"),
    "dists": ("DISTS ↓", ".3f"),
}
_ITEM = "prefix"
_STRIP_SIDE = 256


class Kit:
    """The codec and the metrics, on a number of threads."""

    def __init__(self, threads: int | None) -> None:
        self.codec = calotype.Codec(threads=threads)
        self.judges = Judges()
        self.lpips = Lpips(LPIPS_GRAPH, threads)
        self.psnr = Psnr()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore", calotype.PartialPictureWarning)
    ledger = Ledger(options.results / "progressive.csv", fingerprint())
    kit = Kit(options.threads)
    wanted = [_name(options.bytes, share, metric) for share in SHARES for metric in ("bytes", *_METRICS)]
    figures_by_pool: dict[str, Figures] = {}
    for pool, max_count in _COUNTS.items():
        every = POOLS[pool](SIDE)
        count = options.count or max_count or len(every)
        chosen = every[:: max(1, len(every) // count)][:count]
        for number, path in enumerate(chosen, 1):
            if not ledger.has(_ITEM, path.name, *wanted):
                ledger.add(_ITEM, path.name, measured(centre(load_rgb(path), SIDE), options.bytes, kit))
                print(f"{pool}, {number} of {len(chosen)}: {path.name}", file=sys.stderr, flush=True)
        figures_by_pool[pool] = ledger.figures([path.name for path in chosen])
    text = report(figures_by_pool, options.bytes)
    print(text)
    if options.count is None:
        (options.results / "progressive.md").write_text(text, "utf-8")
        options.strip.parent.mkdir(parents=True, exist_ok=True)
        strip(load_rgb(SAMPLE), options.bytes, kit.codec).save(options.strip, "WEBP", quality=90, method=6)


def prefixes(
    rgb: NDArray[np.uint8], budget: int, codec: calotype.Codec
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yields (share in per cent, bytes, uint8[H, W, 3]) of a file of at most ``budget`` bytes at 512x512."""
    data = codec.encode(rgb, target_size=budget * rgb.shape[0] * rgb.shape[1] // SIDE**2)
    for share in SHARES:
        size = len(data) * share // 100
        yield share, size, codec.decode(data[:size], partial=True, as_array=True)


def measured(rgb: NDArray[np.uint8], budget: int, kit: Kit) -> dict[str, float]:
    """Returns the figures of one picture uint8[H, W, 3] by :func:`_name`."""
    figures = {}
    for share, size, picture in prefixes(rgb, budget, kit.codec):
        judged = kit.judges(rgb, picture)
        values = {"bytes": float(size), "psnr": kit.psnr(rgb, picture), "lpips_sq": kit.lpips(rgb, picture)}
        values |= {name: judged[name] for name in ("lpips_alex", "dists")}
        figures |= {_name(budget, share, metric): value for metric, value in values.items()}
    return figures


def report(figures_by_pool: Mapping[str, Figures], budget: int) -> str:
    """Returns the page of results, with a table of means for each pool of pictures."""
    parts = [
        "# Beginnings of files\n\n"
        f"`python -m benchmarks.progressive`, calotype {calotype.__version__}, weights {fingerprint()}: "
        f"centre crops of {SIDE}×{SIDE}, files of at most {budget:,} bytes, means.\n"
    ]
    for pool, figures in figures_by_pool.items():
        heads = [head for head, _ in _METRICS.values()]
        lines = [
            f"\n## {len(figures.pictures)} {_TITLES[pool]}\n",
            f"| share of the file | bytes | {' | '.join(heads)} |",
            f"| ---: | ---: |{' ---: |' * len(heads)}",
        ]
        for share in SHARES:
            values = [
                format(figures.mean(_name(budget, share, metric)), form)
                for metric, (_, form) in _METRICS.items()
            ]
            size = figures.mean(_name(budget, share, "bytes"))
            lines.append(f"| {share} % | {size:,.0f} | {' | '.join(values)} |")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def strip(rgb: NDArray[np.uint8], budget: int, codec: calotype.Codec) -> Image.Image:
    """Returns the pictures of the beginnings of one file side by side, each with its share and its bytes
    above.
    """
    pictures = list(prefixes(rgb, budget, codec))
    height = _STRIP_SIDE * rgb.shape[0] // rgb.shape[1]
    sheet = Image.new("RGB", (len(pictures) * (_STRIP_SIDE + 8) - 8, height + 24), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (share, size, picture) in enumerate(pictures):
        left = number * (_STRIP_SIDE + 8)
        draw.text((left, 18), f"{share} %: {size:,} bytes", "black", font, anchor="ls")
        sheet.paste(Image.fromarray(picture).resize((_STRIP_SIDE, height), Image.Resampling.BOX), (left, 24))
    return sheet


def _name(budget: int, share: int, metric: str) -> str:
    return f"{budget}-{share}.{metric}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.progressive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bytes", type=int, default=5000, metavar="N", help="target size at 512x512")
    parser.add_argument(
        "--count", type=int, metavar="N", help="the number of pictures of each kind; writes no page"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: every core")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument(
        "--strip", type=Path, default=ROOT / "docs" / "images" / "progressive.webp", metavar="FILE"
    )
    return parser


if __name__ == "__main__":
    main()
