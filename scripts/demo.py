"""The demonstration: ``python -m scripts.demo [PICTURE]``, or ``make demo``.

The script runs the command line as a user would: it encodes the picture to at most 5,000 bytes, decodes it,
and compares Calotype with JPEG, WebP and AVIF at 5,000 and at 2,000 bytes in a report. Then it writes the
pictures of both sizes side by side and prints a table. All output is in ``demo/``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures import ASSETS, ROOT, SAMPLE, load_rgb
from calotype.compare.rows import read_rows

BUDGETS = (5000, 2000)
"""The largest sizes of whole files, in bytes."""

_CODECS = {"calotype-pocket": "Calotype", "avif": "AVIF", "webp": "WebP", "jpeg": "JPEG"}
_LPIPS_GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"
_FIGURES = {"psnr": ("PSNR", ".2f"), "ssimulacra2": ("SSIMULACRA2", ".1f"), "lpips": ("LPIPS", ".3f")}
_COLUMNS = 3
_MARGIN = 16
_CAPTION = 40


@dataclass(frozen=True)
class Entry:
    """One picture of the comparison, uint8[H, W, 3], with the bytes of its file and its figures."""

    name: str
    rgb: NDArray[np.uint8]
    size: int
    note: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)

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
    file, decoded = folder / f"{picture.stem}.calo", folder / f"{picture.stem}-calotype.png"
    _run("encode", picture, file, "--target-size", BUDGETS[0], "--force")
    _run("decode", file, decoded, "--force")
    report = folder / "report"
    sizes = ",".join(map(str, BUDGETS))
    codecs = ",".join(codec for codec in _CODECS if not codec.startswith("calotype"))
    lpips = ["--lpips", _LPIPS_GRAPH] if _LPIPS_GRAPH.exists() else []
    _run("compare", picture, "--sizes", sizes, "--codecs", codecs, *lpips, "--out", report, "--force")
    entries = [original(load_rgb(picture)), *entries_of(report)]
    comparison = folder / f"{picture.stem}-comparison.png"
    side_by_side(entries).save(comparison, optimize=True)
    print(f"\n{table(entries)}\n")
    print("PSNR counts every invented detail as an error. SSIMULACRA2 (higher is better) and LPIPS (lower is")
    print("better) estimate what an observer notices. Judge by looking.")
    print(f"Decoded: {_short(decoded)}\nSide by side: {_short(comparison)}")
    print(f"Report: {_short(report / 'index.html')}")


def original(rgb: NDArray[np.uint8]) -> Entry:
    """Returns the entry of the original uint8[H, W, 3]."""
    return Entry("Original", rgb, rgb.size, ", uncompressed")


def entries_of(report: Path, budgets: tuple[int, ...] = BUDGETS) -> list[Entry]:
    """Returns the entries of a report on one picture: each codec's file within each budget, or its smallest
    file.

    Calotype comes first, at all budgets, then the others, budget by budget.
    """
    rows = {(row.codec, row.budget): row for row in read_rows(report / "figures.csv")}
    ours, *others = _CODECS
    order = [(ours, budget) for budget in budgets]
    order += [(codec, budget) for budget in budgets for codec in others]
    entries = []
    for codec, budget in order:
        row = rows[codec, budget]
        (decoded,) = report.glob(f"pictures/*/{codec}-{row.size}.png")
        note = "" if row.fits else ", its smallest"
        entries.append(Entry(_CODECS[codec], load_rgb(decoded), row.size, note, row.figures))
    return entries


def side_by_side(entries: list[Entry], text_size: int = 24) -> Image.Image:
    """Returns the pictures of one size on a white sheet, three in a row, each below its label."""
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
    """Returns a table of bytes, bits per pixel, ratio to the uncompressed picture, and figures."""
    pixels = entries[0].rgb.shape[0] * entries[0].rgb.shape[1]
    named = [name for name in _FIGURES if any(entry.figures.get(name) is not None for entry in entries)]
    heads = "".join(f"{_FIGURES[name][0]:>13}" for name in named)
    lines = [f"{'':10}{'bytes':>10}{'bpp':>9}{'ratio':>10}{heads}"]
    for entry in entries:
        ratio = f"{entries[0].size / entry.size:.0f} : 1"
        line = f"{entry.name:10}{entry.size:>10,}{8 * entry.size / pixels:>9.3f}{ratio:>10}"
        for name in named:
            figure = entry.figures.get(name)
            line += f"{'-' if figure is None else format(figure, _FIGURES[name][1]):>13}"
        lines.append(line + entry.note)
    return "\n".join(lines)


def _run(*arguments: object) -> None:
    """Runs the installed command in the checkout, and prints it; a failure ends the demonstration."""
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
