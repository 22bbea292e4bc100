"""The quality of the embedded model: ``python -m benchmarks.quality [ITEM...] [-j N]``.

Items (default: all), measured on centre crops of 512x512:

  files     every codec's best file within each budget, by fidelity and by metrics that were no losses
  entropy   the entropy coder against order-0 entropy
  space     pocket's files through TAESD's decoder, moments of the latents
  eye       visible faults: mean colour error, grids, noise of even areas

``--pictures`` selects the Kodak pictures, or the held-out photographs of the training pool. Figures are
written to results/kodak-512.csv or held-out-512.csv at once, so that a second run continues an interrupted
one. Figures of other weights are dropped; those of the other codecs are kept. The tables are printed. When
every picture has every figure, they are also written beside the figures, with the plots (.md and .svg).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import calotype
from benchmarks.files import BUDGETS, codecs_here, figure_names, file_figures
from benchmarks.ledger import Figures, Ledger, fingerprint
from benchmarks.measures import MEASURES
from benchmarks.pictures import POOLS, RESULTS, centre, load_rgb
from benchmarks.plots import plot_judges
from benchmarks.published import PUBLISHED
from benchmarks.scene import CALOTYPE, OTHERS, Kit, Scene
from benchmarks.tables import files_table, worst_table
from benchmarks.targets import markdown, targets

__all__ = ["Task", "main", "tasks_left"]

SIDE = 512
_FILES = "files"
_ITEMS = (_FILES, *MEASURES)
_CODECS = (CALOTYPE, *OTHERS)


@dataclass(frozen=True)
class Task:
    """The missing figures of one picture: budgets by codec, and the other items."""

    path: Path
    budgets: dict[str, list[int]]
    items: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # The processes share the cores.
    pictures = POOLS[options.pictures](SIDE)
    chosen = pictures[:: max(1, len(pictures) // options.count)] if options.count else pictures
    names = [path.name for path in chosen]
    files = options.results / f"{options.pictures}-{SIDE}.csv"
    ledger = Ledger(files, fingerprint(), lasting=OTHERS)
    if options.again:
        for item in [name for name in _ITEMS if name in options.items]:
            ledger.forget(CALOTYPE if item == _FILES else item, names)
    codecs, missing = codecs_here(options.codecs) if _FILES in options.items else ([], {})
    for name, why in missing.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    _measure_all(tasks_left(chosen, options.items, codecs, options.sizes, ledger), ledger, options.jobs)
    figures = ledger.figures(names)
    text = _report(options.pictures, figures)
    print(text)
    available = [name for name in _CODECS if name not in missing]
    if chosen == pictures and not tasks_left(pictures, _ITEMS, available, BUDGETS, ledger):
        files.with_suffix(".md").write_text(text, "utf-8")
        published = PUBLISHED if options.pictures == "kodak" else ()
        title = f"{_title(options.pictures, len(names))}; whole files"
        plot_judges(files.with_suffix(".svg"), title, figures, _CODECS, BUDGETS, SIDE, published)
    return 0


def tasks_left(
    pictures: Sequence[Path],
    items: Sequence[str],
    codecs: Sequence[str],
    budgets: Sequence[int],
    ledger: Ledger,
) -> list[Task]:
    """Returns one task for each picture with missing figures."""
    tasks = []
    for path in pictures:
        left = {
            codec: [
                budget for budget in budgets if not ledger.has(codec, path.name, *figure_names(codec, budget))
            ]
            for codec in (codecs if _FILES in items else ())
        }
        left = {codec: lacking for codec, lacking in left.items() if lacking}
        others = [item for item in items if item in MEASURES and not ledger.has(item, path.name)]
        if left or others:
            tasks.append(Task(path, left, others))
    return tasks


def _measure_all(tasks: Sequence[Task], ledger: Ledger, jobs: int) -> None:
    context = multiprocessing.get_context("spawn")  # The networks' threads do not survive a fork.
    with ProcessPoolExecutor(jobs, context) as pool:
        running = {pool.submit(_measure, task): task.path.name for task in tasks}
        for number, future in enumerate(as_completed(running), 1):
            for item, figures in future.result().items():
                ledger.add(item, running[future], figures)
            print(f"{number} of {len(tasks)}: {running[future]}", file=sys.stderr, flush=True)


@cache  # Every process has one.
def _kit() -> Kit:
    return Kit()


def _measure(task: Task) -> dict[str, dict[str, float]]:
    """Returns figures by codec or item.

    One process measures all items of a picture, so that they share intermediate results.
    """
    scene = Scene(centre(load_rgb(task.path), SIDE), _kit())
    figures = {codec: file_figures(scene, codec, budgets) for codec, budgets in task.budgets.items()}
    return figures | {item: MEASURES[item](scene) for item in task.items}


def _title(pool: str, count: int) -> str:
    what = {"kodak": "Kodak pictures", "held-out": "held-out photographs"}[pool]
    return f"{count} {what}, centre crops of {SIDE}×{SIDE}"


def _report(pool: str, figures: Figures) -> str:
    lines = targets(figures)
    judged = [line.met for line in lines if line.met is not None]
    plot = f"\n![The judges against bits per pixel]({pool}-{SIDE}.svg)\n"
    return (
        f"# The embedded model and its targets\n\n"
        f"`python -m benchmarks.quality --pictures {pool}`, calotype {calotype.__version__}, weights "
        f"{fingerprint()}: {_title(pool, len(figures.pictures))}, whole files, means. "
        f"{sum(judged)} of {len(judged)} targets are met.\n\n{markdown(lines)}\n"
        f"## Files\n\n{files_table(figures, _CODECS, BUDGETS)}{plot}\n"
        f"## Calotype's worst pictures\n\n{worst_table(figures, BUDGETS)}"
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
    parser.add_argument("--pictures", choices=POOLS, default="kodak", help="default: kodak")
    parser.add_argument(
        "--count", type=int, metavar="N", help="the approximate number of pictures, evenly chosen"
    )
    parser.add_argument("--codecs", nargs="+", choices=_CODECS, default=_CODECS, metavar="CODEC")
    parser.add_argument("--sizes", nargs="+", type=int, choices=BUDGETS, default=BUDGETS, metavar="BYTES")
    parser.add_argument("--again", action="store_true", help="measure Calotype again with the same weights")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
