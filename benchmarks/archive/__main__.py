"""The command line: ``python -m benchmarks.archive``. Pictures are made of the photographs in a folder."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.archive.overhead import Overhead, overhead
from benchmarks.archive.pictures import cut_squares, reduce_photographs
from benchmarks.archive.plans import checked
from benchmarks.archive.runs import CODEC, ENGINES, Run, fresh, measure, pictures_of, run
from benchmarks.archive.simulation import simulated
from benchmarks.archive.stages import Stages, measured
from benchmarks.archive.writer import Writing, written
from calotype.options import DEFAULT_EFFORT

__all__ = ["main"]

_SMALL_PICTURES = 1000
"""The number of pictures of 16x16 pixels with which the coordination of a Ray command is measured."""

MakePictures = Callable[[Path, Path, int, int], None]


@contextmanager
def _pictures(options: argparse.Namespace, make: MakePictures = cut_squares) -> Iterator[Path]:
    """Yields a folder with the largest number of pictures that the options name."""
    with tempfile.TemporaryDirectory() as folder:
        make(options.source, Path(folder), max(options.pictures), options.side)
        yield Path(folder)


def _table(names: str) -> None:
    columns = names.split(" | ")
    print(f"| {names} |\n|---" + (len(columns) - 1) * "|---:" + "|", flush=True)


def _line(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _runs(options: argparse.Namespace) -> None:
    """Prints the runs, and the time of one picture, from the difference of the runs with most and fewest."""
    _table("engine | workers | pictures | seconds | a second | s of a core | MB | MB of a worker | codec, s")
    best = dict[tuple[str, int, int], Run]()
    with _pictures(options) as folder:
        for _ in range(options.repeats):
            for count in options.pictures:
                for workers in options.workers:
                    for engine in options.engines:
                        made = measure(engine, workers, folder, count, options.effort)
                        _line(
                            f"{engine}",
                            f"{workers}",
                            f"{count:,}",
                            f"{made.seconds:.1f}",
                            f"{count / made.seconds:.2f}",
                            f"{made.core_seconds:.2f}",
                            f"{made.peak:.0f}",
                            "" if engine == "ray" else f"{made.worker_peak:.0f}",
                            f"{made.codec_seconds:.2f}",
                        )
                        key = (engine, workers, count)
                        best[key] = min(made, best.get(key, made), key=lambda run: run.seconds)
    few, many = min(options.pictures), max(options.pictures)
    if few == many:
        return
    print()
    _table("engine | workers | ms of a core a picture | ms by the clock | ms of the codec in all workers")
    for engine in options.engines:
        for workers in options.workers:
            first, last = best[engine, workers, few], best[engine, workers, many]
            taken = 1000 * (last.seconds - first.seconds) / (many - few)
            codec = 1000 * (last.codec_seconds - first.codec_seconds) / (many - few)
            core = 1000 * (last.core_seconds - first.core_seconds) / (many - few)
            _line(engine, f"{workers}", f"{core:.1f}", f"{taken:.1f}", f"{codec:.1f}")


def _run(options: argparse.Namespace) -> None:
    files = pictures_of(options.engine, options.workers, options.folder, options.count, options.number)
    print(json.dumps(asdict(run(options.engine, options.workers, files, options.effort))))


def _overheads(options: argparse.Namespace) -> None:
    _table("workers | pictures | codec alone, ms | worker, ms | writer, ms | over | once, ms")
    with _pictures(options) as folder:
        for workers in options.workers:
            made = Overhead(**fresh("_overhead", folder, workers, options.effort))
            times = (f"{1000 * seconds:.2f}" for seconds in (made.codec, made.worker, made.writer))
            _line(f"{workers}", f"{made.pictures}", *times, f"{made.ratio:.2%}", f"{1000 * made.once:.0f}")


def _overhead(options: argparse.Namespace) -> None:
    print(json.dumps(asdict(overhead(options.folder, options.workers, options.effort))))


def _plans(options: argparse.Namespace) -> None:
    _table(
        "seed | encoded | predicted kB | interval, kB | archive, kB | error | seconds of a core | archive's"
    )
    within = holds = 0
    with _pictures(options, reduce_photographs) as folder:
        for check in checked(folder, options.plans, options.workers[0], options.effort, options.quality):
            interval = f"{check.low / 1e3:.1f} to {check.high / 1e3:.1f}"
            sizes = (f"{check.predicted / 1e3:.1f}", interval, f"{check.actual / 1e3:.1f}")
            times = (f"{check.seconds:.1f}", f"{check.actual_seconds:.1f}")
            _line(f"{check.seed}", f"{check.encoded}", *sizes, f"{check.error:+.1%}", *times)
            within += abs(check.error) <= 0.05
            holds += check.holds
    print(f"\nwithin 5 %: {within} of {options.plans}; in the interval: {holds} of {options.plans}")


def _writers(options: argparse.Namespace) -> None:
    _table("rows | s of a core | rows a second | MB")
    for rows in options.rows:
        made = Writing(**fresh("_writer", rows, options.payload))
        rate = f"{made.rows / made.core_seconds:,.0f}"
        _line(f"{made.rows:,}", f"{made.core_seconds:.1f}", rate, f"{made.peak:.0f}")


def _writer(options: argparse.Namespace) -> None:
    print(json.dumps(asdict(written(options.rows, options.payload))))


def _stages(options: argparse.Namespace) -> None:
    with _pictures(options) as folder, tempfile.TemporaryDirectory() as small:
        cut_squares(options.source, Path(small), _SMALL_PICTURES, 16)
        print(json.dumps(asdict(measured(folder, Path(small), options.effort))))


def _simulate(options: argparse.Namespace) -> None:
    stages = Stages(**json.loads(options.stages.read_text("utf-8")))
    stages = stages.with_pixels(options.pixels_times, options.encode)
    _table("machines | encoders | pictures a second | of the ideal")
    for nodes in (1, 10, 100, 1000):
        encoders = nodes * options.cores
        rate = simulated(stages, nodes, options.cores, windows=1 if nodes > 100 else 2)
        ideal = encoders / (stages.read + stages.encode)
        _line(f"{nodes:,}", f"{encoders:,}", f"{rate:,.1f}", f"{rate / ideal:.0%}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, function: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name)
        added.set_defaults(function=function)
        return added

    def with_pictures(
        name: str, function: Callable[[argparse.Namespace], None], pictures: list[int], side: int
    ) -> argparse.ArgumentParser:
        added = command(name, function)
        added.add_argument("source", type=Path, help="a folder of photographs")
        added.add_argument("--pictures", type=int, nargs="+", default=pictures)
        added.add_argument("--side", type=int, default=side, help="of a picture, in pixels")
        added.add_argument("--effort", type=int, default=DEFAULT_EFFORT)
        added.add_argument("--workers", type=int, nargs="+", default=[1, 2])
        return added

    runs = with_pictures("runs", _runs, [8, 32], 256)
    runs.add_argument("--engines", nargs="+", choices=ENGINES, default=[CODEC, "local"])
    runs.add_argument("--repeats", type=int, default=1)
    with_pictures("overhead", _overheads, [32], 256)
    plans = with_pictures("plans", _plans, [400], 256)
    plans.add_argument("--plans", type=int, default=10)
    plans.add_argument("--quality", type=float, default=50.0)
    with_pictures("stages", _stages, [24], 512)
    simulate = command("simulate", _simulate)
    simulate.add_argument("stages", type=Path, help="a file with the output of 'stages'")
    simulate.add_argument(
        "--pixels-times", type=float, default=1.0, metavar="N", help="pictures of N times the pixels"
    )
    simulate.add_argument(
        "--encode", type=float, metavar="SECONDS", help="measured for such a picture; default: in proportion"
    )
    simulate.add_argument("--cores", type=int, default=16, help="of a machine")
    writer = command("writer", _writers)
    writer.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    writer.add_argument("--payload", type=int, default=5000, help="of a row, in bytes")
    one_writer = command("_writer", _writer)
    one_writer.add_argument("rows", type=int)
    one_writer.add_argument("payload", type=int)
    one_run = command("_run", _run)
    for name, kind in (
        ("engine", str),
        ("workers", int),
        ("folder", Path),
        ("count", int),
        ("effort", int),
        ("number", int),
    ):
        one_run.add_argument(name, type=kind)
    one_overhead = command("_overhead", _overhead)
    for name, kind in (("folder", Path), ("workers", int), ("effort", int)):
        one_overhead.add_argument(name, type=kind)
    options = parser.parse_args(arguments)
    options.function(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
