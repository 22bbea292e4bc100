"""The quality of the embedded model: ``python -m benchmarks.quality [ITEM...] [-j N]``.

Items (default: all), each of them resumed where an earlier run was interrupted:

  crops     calotype bench on 512x512 centre crops of the Kodak pictures   -> results/kodak-512/
  whole     calotype bench on the whole pictures                           -> results/kodak/
  opinion   SSIMULACRA2 and features of EfficientNet-Lite0, against TAESD and the recipe of 2022
  ceiling   networks without quantisation, against TAESD
  entropy   the entropy coder against order-0 entropy
  rdo       what rate-distortion-optimised quantisation saves
  space     pocket's latents through TAESD's decoder
  eye       mean colour error, grids

All but the first two are measured on the crops too. Figures are kept in results/pocket.csv for as long as the
weights are the same; the table of targets is printed and, once every picture has every figure, written to
results/pocket.md. Other options, as --sizes=5kB, are passed on to calotype bench.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import multiprocessing
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path

import calotype
from benchmarks.measures import MEASURES
from benchmarks.pictures import ASSETS, RESULTS, centre, load_rgb
from benchmarks.scene import LPIPS_GRAPH, Kit, Scene
from benchmarks.targets import BUDGETS, CODECS, Figures, details, markdown, targets
from calotype.cli import main as command
from calotype.compare.rows import Row, read_csv, to_csv

__all__ = ["Ledger", "fingerprint", "main"]

KODAK = ASSETS / "data" / "kodak"
SIDE = 512
_VIEWS = {"crops": ("kodak-512", ("--crop", str(SIDE))), "whole": ("kodak", ())}
_ITEMS = [*_VIEWS, *MEASURES]
_CODECS = "jpeg,webp,avif,jxl,palette"
_OF_WEIGHTS = ("calotype-", "palette")  # beginnings of the codecs whose figures depend on the weights


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options, passed_on = _parser().parse_known_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes share the cores
    ledger = Ledger(options.results / "pocket.csv", fingerprint())
    code = 0
    for view in [item for item in _VIEWS if item in options.items]:
        code = max(code, _bench(view, ledger, options, passed_on))
    pictures = sorted(KODAK.glob("*.png"))
    chosen = pictures[:: max(1, len(pictures) // options.pictures)] if options.pictures else pictures
    _measure_all(chosen, [item for item in options.items if item in MEASURES], ledger, options.jobs)
    names = [picture.name for picture in chosen]
    rows = _rows(options.results, names) if ledger.has("crops", "all") else []
    complete = bool(rows) and all(ledger.has(item, picture.name) for item in MEASURES for picture in pictures)
    text = _report(rows, ledger, names)
    print(text)
    if complete and chosen == pictures:
        (options.results / "pocket.md").write_text(text, "utf-8")
    return code


def fingerprint() -> str:
    """Another one for other weights or entropy tables."""
    sums = (files("calotype.models") / "weights" / "sha256.json").read_bytes()
    return hashlib.sha256(sums).hexdigest()[:12]


class Ledger:
    """A CSV of figures: weights, item, picture, name, value; those of other weights are dropped."""

    _HEAD = ("weights", "item", "picture", "figure", "value")

    def __init__(self, path: Path, weights: str) -> None:
        self._path, self._weights = path, weights
        self._found: dict[tuple[str, str], dict[str, float]] = {}
        if path.exists():
            text = path.read_text("utf-8")
            whole = text[: text.rfind("\n") + 1]  # a line may have been cut short
            for known, item, picture, name, value in csv.reader(whole.splitlines()):
                if known == weights:
                    self._found.setdefault((item, picture), {})[name] = float(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for (item, picture) in self._found for line in self._lines(item, picture)]
        self._write("w", [self._HEAD, *kept])

    def add(self, item: str, picture: str, figures: dict[str, float]) -> None:
        """Keeps the figures of one picture, on disk too."""
        self._found[item, picture] = figures
        self._write("a", self._lines(item, picture))

    def has(self, item: str, picture: str) -> bool:
        return (item, picture) in self._found

    def figures(self, pictures: Sequence[str]) -> Figures:
        """All that is known of ``pictures``."""
        found: dict[str, dict[str, float]] = {picture: {} for picture in pictures}
        for (_, picture), figures in self._found.items():
            if picture in found:
                found[picture] |= figures
        return Figures(found)

    def _lines(self, item: str, picture: str) -> list[list[str]]:
        figures = self._found[item, picture]
        return [[self._weights, item, picture, name, f"{value:.6g}"] for name, value in figures.items()]

    def _write(self, mode: str, lines: Iterable[Sequence[str]]) -> None:
        with self._path.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)


def _bench(view: str, ledger: Ledger, options: argparse.Namespace, passed_on: Sequence[str]) -> int:
    folder, how = _VIEWS[view]
    out = options.results / folder
    if not ledger.has(view, "all"):
        _drop_rows_of_weights(out / "figures.csv")
        ledger.add(view, "all", {"begun": 1})
    sizes = ",".join(map(str, BUDGETS))
    always = ["bench", str(KODAK), "--lpips", str(LPIPS_GRAPH), "--codecs", _CODECS, "--sizes", sizes]
    always += ["--out", str(out)]
    return command([*always, *how, "--jobs", str(options.jobs), *passed_on])


def _drop_rows_of_weights(path: Path) -> None:
    """Leaves the rows of the codecs that new weights do not change; they take longest to measure."""
    if path.exists():
        kept = [row for row in read_csv(path) if not row.codec.startswith(_OF_WEIGHTS)]
        path.write_text(to_csv(kept), "utf-8")


def _rows(results: Path, pictures: Sequence[str]) -> list[Row]:
    """What calotype bench has found, once it has all of it."""
    path = results / _VIEWS["crops"][0] / "figures.csv"
    rows = [row for row in read_csv(path) if row.picture in pictures] if path.exists() else []
    found = {(row.codec, row.picture, row.budget) for row in rows}
    return rows if found >= set(product(CODECS, pictures, BUDGETS)) else []


def _measure_all(pictures: Sequence[Path], items: Sequence[str], ledger: Ledger, jobs: int) -> None:
    wanted = {
        path: missing
        for path in pictures
        if (missing := [item for item in items if not ledger.has(item, path.name)])
    }
    context = multiprocessing.get_context("spawn")  # the networks' threads do not survive a fork
    with ProcessPoolExecutor(jobs, context, initializer=_one_thread) as pool:
        tasks = {pool.submit(_measure, path, missing): path for path, missing in wanted.items()}
        for number, task in enumerate(as_completed(tasks), 1):
            for item, figures in task.result().items():
                ledger.add(item, tasks[task].name, figures)
            print(f"{number} of {len(tasks)}: {tasks[task].name}", file=sys.stderr)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@cache  # one in every process
def _kit() -> Kit:
    return Kit()


def _measure(path: Path, items: Sequence[str]) -> dict[str, dict[str, float]]:
    scene = Scene(centre(load_rgb(path), SIDE), _kit())
    return {item: MEASURES[item](scene) for item in items}


def _report(rows: Sequence[Row], ledger: Ledger, pictures: Sequence[str]) -> str:
    figures = ledger.figures(pictures)
    found = targets(rows, figures)
    judged = [one.met for one in found if one.met is not None]
    return (
        f"# The embedded model and its targets\n\n"
        f"`python -m benchmarks.quality`, calotype {calotype.__version__}, weights {fingerprint()}: "
        f"{len(pictures)} Kodak pictures, centre crops of {SIDE}×{SIDE}, means. "
        f"{sum(judged)} of {len(judged)} targets are met.\n\n{markdown(found)}{details(figures)}"
    )


def _item(name: str) -> str:
    if name not in _ITEMS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(_ITEMS)}")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("items", nargs="*", metavar="ITEM", type=_item, default=_ITEMS)
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--pictures", type=int, metavar="N", help="only about so many, evenly chosen")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
