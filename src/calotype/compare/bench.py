"""A benchmark over a data set: every picture by every codec, in parallel, and resumable.

Each figure is written at once, one line for each picture, codec and size. A later run with the same
settings measures only pictures, codecs and sizes that are new or have changed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from calotype.atomic import write_atomically
from calotype.compare.contest import Contest, Rules, read_pixels
from calotype.compare.folder import shown_name
from calotype.compare.plot import plots_png
from calotype.compare.rows import Row, read_rows, rows_to_csv
from calotype.compare.summary import summary_markdown
from calotype.cores import threads_per_worker
from calotype.errors import CalotypeError, ModelError, OutOfMemoryError, OutputError, SourceError
from calotype.limits import Limits
from calotype.options import DiffusionOptions

__all__ = ["BENCH_SIZES", "SUFFIXES", "Settings", "picture_files", "run_bench"]

BENCH_SIZES = (40_000, 20_000, 10_000, 5000, 2500, 1250)
"""The default sizes for 512x512 pixels, in bytes.

At the largest sizes the other codecs reach the quality that Calotype has at the smaller ones.
"""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm"})


@dataclass(frozen=True)
class Settings:
    """The settings of a benchmark.

    ``sizes`` are the largest sizes of files, in bytes at 512x512 pixels and in proportion to the area for
    other pictures. ``crop`` is the side of a centre crop in pixels; None takes whole pictures. Pictures of
    more than ``max_pixels`` are refused.
    """

    rules: Rules
    sizes: tuple[int, ...] = BENCH_SIZES
    crop: int | None = None
    max_pixels: int = Limits.max_pixels

    def fingerprint(self) -> dict[str, Any]:
        """Returns the settings on which figures depend: only figures with equal ones are comparable."""
        graph, diffusion = self.rules.lpips, self.rules.diffusion
        usual: dict[str, Any] = {
            "calotype": calotype.__version__,
            "crop": self.crop,
            "lpips": None if graph is None else hashlib.sha256(graph.read_bytes()).hexdigest(),
        }
        return usual if diffusion == DiffusionOptions() else usual | {"diffusion": asdict(diffusion)}


def picture_files(folder: Path) -> list[Path]:
    """Returns the pictures of ``folder``, by name. Raises :class:`SourceError` when there are none."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise SourceError(f"{folder} is not a folder with pictures")
    return files


def run_bench(
    folder: Path,
    out: Path,
    settings: Settings,
    *,
    jobs: int = 1,
    force: bool = False,
    started: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
    remark: Callable[[str], None] = lambda text: None,
    failed: Callable[[Path, CalotypeError], None] | None = None,
) -> list[Row]:
    """Measures the pictures of ``folder`` and writes ``figures.csv``, ``summary.md`` and ``curves.png``.

    ``jobs`` is the number of processes; each has one thread if there are several. ``started`` is called with
    the number of measurements, and returns the function to call after each. ``remark`` is called for codecs
    and metrics that cannot run. ``failed`` is called for pictures that cannot be measured, which are left
    out; if it is None, the error is raised. ``force`` discards figures made with other settings.
    Raises :class:`SourceError`, :class:`ModelError` and :class:`OutputError`.
    """
    files = {shown_name(file.name): file for file in picture_files(folder)}
    contest = Contest(settings.rules)
    for name, why in contest.missing.items():
        remark(f"{name} is left out: {why}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        ledger = _FigureLog(out, settings, force=force)
        digests = {name: _picture_digest(file) for name, file in files.items()}
        rows = ledger.open(digests)
        measured = {(row.picture, row.codec, row.budget) for row in rows}
        tasks = [
            (file, codec)
            for name, file in files.items()
            for codec in contest.codecs
            if any((name, codec, size) not in measured for size in settings.sizes)
        ]
        advance = started(len(tasks))
        reported: set[tuple[Path | None, str]] = set()
        for file, outcome in _measure_in_parallel(tasks, settings, jobs):
            if isinstance(outcome, list):
                rows += [row for row in outcome if (row.picture, row.codec, row.budget) not in measured]
                ledger.add(outcome)
            else:
                # A model would fail for every picture.
                subject = None if isinstance(outcome, ModelError) else file
                new = (subject, str(outcome)) not in reported
                reported.add((subject, str(outcome)))
                if subject is None:
                    if new:
                        remark(str(outcome))
                elif failed is None:
                    raise outcome
                elif new:
                    failed(file, outcome)
            advance()
        order = {name: number for number, name in enumerate(contest.codecs)}
        asked = [row for row in rows if row.codec in order and row.budget in settings.sizes]
        asked.sort(key=lambda row: (row.picture, order[row.codec], -row.budget))
        if not asked:
            kind = SourceError if any(subject for subject, _ in reported) else ModelError
            raise kind(f"no picture of {folder} could be measured")
        ledger.close(rows)
        view = f"{settings.crop}×{settings.crop} centre crops" if settings.crop else "full size"
        count = len({row.picture for row in asked})
        title = f"{shown_name(folder.resolve().name)}: {count} pictures, {view}"
        write_atomically(
            out / "summary.md", f"## {title}\n\n{summary_markdown(asked)}".encode(), overwrite=True
        )
        try:
            write_atomically(out / "curves.png", plots_png(asked, title), overwrite=True)
        except ModelError as error:
            (out / "curves.png").unlink(missing_ok=True)  # An earlier run had other figures.
            remark(f"curves.png is left out: {error}")
    except CalotypeError:  # Some errors of Calotype are OSErrors too.
        raise
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({(error.strerror or str(error)).lower()})") from error
    return asked


class _FigureLog:
    """The files of a run: ``figures.csv``, to which rows are appended, and ``run.json`` with the settings."""

    def __init__(self, out: Path, settings: Settings, *, force: bool) -> None:
        self._figures, self._run = out / "figures.csv", out / "run.json"
        self._wanted = settings.fingerprint()
        self._digests: dict[str, str] = {}
        self._rows: list[Row] = []
        try:
            self._recall(out)
        except CalotypeError as error:
            if not force:
                raise OutputError(f"{error} (--force measures everything again)") from error
            self._digests, self._rows = {}, []

    def _recall(self, out: Path) -> None:
        """Reads the rows of an earlier run.

        Raises :class:`CalotypeError` if its files are damaged, or if it had other settings.
        """
        if not self._run.exists():
            return
        try:
            known = json.loads(self._run.read_text("utf-8"))
            settings, self._digests = known["settings"], dict(known["pictures"])
        except (ValueError, LookupError, TypeError) as error:
            raise SourceError(f"{self._run} is damaged: {error}") from error
        if settings != self._wanted:
            raise OutputError(f"{out} has figures with other settings: {settings}")
        if self._figures.exists():
            self._rows = read_rows(self._figures)

    def open(self, digests: dict[str, str]) -> list[Row]:
        """Returns the rows of unchanged pictures, and rewrites the file with them."""
        changed = {name for name, digest in digests.items() if self._digests.get(name) != digest}
        rows = [row for row in self._rows if row.picture not in changed]
        self.close(rows)
        record: dict[str, Any] = {"settings": self._wanted, "pictures": self._digests | digests}
        write_atomically(self._run, (json.dumps(record, indent=1) + "\n").encode(), overwrite=True)
        return rows

    def add(self, rows: Sequence[Row]) -> None:
        with self._figures.open("a", encoding="utf-8") as file:
            file.write(rows_to_csv(rows, header=False))

    def close(self, rows: Sequence[Row]) -> None:
        """Rewrites the whole file, in order."""
        ordered = sorted(rows, key=lambda row: (row.picture, row.codec, -row.budget))
        write_atomically(self._figures, rows_to_csv(ordered).encode(), overwrite=True)


def _picture_digest(file: Path) -> str:
    """Returns the digest that detects a changed picture; empty for one that cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def _measure_in_parallel(
    tasks: Sequence[tuple[Path, str]], settings: Settings, jobs: int
) -> Iterator[tuple[Path, list[Row] | CalotypeError]]:
    """Yields the picture of each finished task, with its rows or its error."""
    context = multiprocessing.get_context("spawn")  # The networks' threads do not survive a fork.
    pool = ProcessPoolExecutor(jobs, context, initializer=_quiet_interrupts)
    threads = threads_per_worker(jobs)
    try:
        running = {pool.submit(_measure_picture, *task, settings, threads): task[0] for task in tasks}
        for future in as_completed(running):
            try:
                yield running[future], future.result()
            except CalotypeError as error:
                yield running[future], error
            except BrokenProcessPool as error:  # The system kills a process that takes too much memory.
                raise OutOfMemoryError(
                    f"one of {jobs} processes was killed, probably because the machine ran out of memory:"
                    " run it again, with fewer --jobs"
                ) from error
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():  # Otherwise they would go on working.
            process.terminate()
        raise
    pool.shutdown()


def _quiet_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # The main process decides whether to print the traceback.


def _measure_picture(file: Path, codec: str, settings: Settings, threads: int | None) -> list[Row]:
    rgb = _read_benchmark_pixels(file, settings.crop, settings.max_pixels)
    area = rgb.shape[0] * rgb.shape[1]
    sizes = [max(size * area // 512**2, 1) for size in settings.sizes]
    contest = _contest_of_process(settings.rules, threads)
    return [entry.row for entry in contest.run(codec, shown_name(file.name), rgb, sizes, settings.sizes)]


@cache  # Every process has one.
def _contest_of_process(rules: Rules, threads: int | None) -> Contest:
    return Contest(replace(rules, threads=threads))


def _read_benchmark_pixels(file: Path, crop: int | None, max_pixels: int) -> NDArray[np.uint8]:
    rgb = read_pixels(file, Limits(max_pixels=max_pixels))
    if crop is None:
        return rgb
    height, width = rgb.shape[:2]
    if min(height, width) < crop:
        raise SourceError(f"{file}: {width}x{height} pixels are too few for a crop of {crop}x{crop}")
    top, left = (height - crop) // 2, (width - crop) // 2
    return np.ascontiguousarray(rgb[top : top + crop, left : left + crop])
