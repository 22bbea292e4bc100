"""The demonstration: ``python -m scripts.demo [PICTURE]``, or ``make demo``.

Runs the command line as a user would: encodes the picture to at most 5,000 bytes, decodes it, and compares
it with JPEG, WebP and AVIF at no more than the same bytes in a report. Then writes the pictures side by side
and prints a table. Everything lands in ``demo/``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures import ROOT, SAMPLE, load_rgb
from calotype.compare.metrics import Psnr
from calotype.compare.rows import read_csv

BUDGET = 5000  # bytes
_RIVALS = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}
_COLUMNS = 3
_MARGIN = 16
_CAPTION = 40


@dataclass(frozen=True)
class Entry:
    """One picture of the comparison: uint8[H, W, 3] and the bytes of the whole file it came from."""

    name: str
    rgb: NDArray[np.uint8]
    size: int
    note: str = ""

    @property
    def label(self) -> str:
        return f"{self.name}: {self.size:,} bytes{self.note}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("picture", type=Path, nargs="?", default=SAMPLE)
    picture: Path = parser.parse_args().picture
    folder = ROOT / "demo"
    folder.mkdir(exist_ok=True)
    ours = calotype(picture, folder)
    rgb = load_rgb(picture)
    report = folder / "report"
    _run("compare", picture, "--codecs", ",".join(_RIVALS), "--out", report, "--force")
    entries = [Entry("Original", rgb, rgb.size, ", uncompressed"), ours, *rivals(report)]
    comparison = folder / f"{picture.stem}-comparison.png"
    side_by_side(entries).save(comparison, optimize=True)
    print(f"\n{table(entries)}\n\nPSNR counts every invented detail as an error: judge by looking.")
    print(f"Side by side: {_short(comparison)}\nReport: {_short(report / 'index.html')}")


def calotype(picture: Path, folder: Path) -> Entry:
    """Encodes and decodes `picture` with the installed command, into `folder`."""
    coded, decoded = folder / f"{picture.stem}.calo", folder / f"{picture.stem}-calotype.png"
    _run("encode", picture, coded, "--target-size", BUDGET, "--force")
    _run("decode", coded, decoded, "--force")
    return Entry("Calotype", load_rgb(decoded), coded.stat().st_size)


def rivals(report: Path) -> list[Entry]:
    """The other codecs within the same budget, or at their smallest, out of a report on one picture."""
    entries = []
    for row in read_csv(report / "figures.csv"):
        if row.codec in _RIVALS and row.budget == BUDGET:
            (picture,) = report.glob(f"pictures/*/{row.codec}-{row.size}.png")
            note = "" if row.fits else ", its smallest"
            entries.append(Entry(_RIVALS[row.codec], load_rgb(picture), row.size, note))
    return entries


def side_by_side(entries: list[Entry], text_size: int = 24) -> Image.Image:
    """The pictures of one size on a white sheet, three in a row, each with its label above."""
    height, width = entries[0].rgb.shape[:2]
    rows = -(-len(entries) // _COLUMNS)
    cell = (width + _MARGIN, height + _CAPTION + _MARGIN)
    sheet = Image.new("RGB", (_COLUMNS * cell[0] + _MARGIN, rows * cell[1]), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(text_size)
    for number, entry in enumerate(entries):
        left, top = _MARGIN + number % _COLUMNS * cell[0], number // _COLUMNS * cell[1]
        draw.text((left, top + _CAPTION - 6), entry.label, "black", font, anchor="ls")
        sheet.paste(Image.fromarray(entry.rgb), (left, top + _CAPTION))
    return sheet


def table(entries: list[Entry]) -> str:
    """Bytes, bits per pixel, ratio to the uncompressed picture, and PSNR."""
    original = entries[0]
    pixels = original.rgb.shape[0] * original.rgb.shape[1]
    lines = [f"{'':10}{'bytes':>10}{'bpp':>9}{'ratio':>10}{'PSNR':>10}"]
    for entry in entries:
        quality = f"{Psnr()(original.rgb, entry.rgb):.2f} dB" if entry is not original else "-"
        ratio = f"{original.size / entry.size:.0f} : 1"
        line = f"{entry.name:10}{entry.size:>10,}{8 * entry.size / pixels:>9.3f}{ratio:>10}{quality:>10}"
        lines.append(line + entry.note)
    return "\n".join(lines)


def _run(*arguments: object) -> None:
    """The installed command, run in the checkout and echoed; its failure ends the demonstration."""
    words = [_short(a) if isinstance(a, Path) else str(a) for a in arguments]
    print("$ calotype", *words, flush=True)
    code = subprocess.run([Path(sys.executable).with_name("calotype"), *words], cwd=ROOT).returncode
    if code:
        sys.exit(code)


def _short(path: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


if __name__ == "__main__":
    main()
