"""Seconds of the browser's decoder against the Python package: ``python -m benchmarks.browser``.

Both decode the same picture, coded at 512x512 pixels, in turn, on the same cores: first on one, then on
all. On two cores a second worker of the browser helps from the third picture on. The table has the shortest
time of the rounds, with everything loaded, and the shortest processor time of all threads, which is more
reliable on a machine that does other work at the same time. A thumbnail (an eighth of the size) takes the
same latents and no decoder network. ``--large FILE`` also decodes a large file once in each browser, and
gives the largest resident memory of the page's process. The benchmark needs ``make web``, chromium-driver
and firefox-esr of Debian.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.pictures import ROOT, load_rgb
from scripts.browsers import MISSING, Browser, opened_browser, opened_firefox, served

__all__ = ["main"]

_RESULTS = ROOT / "benchmarks" / "results" / "browser.md"
_SAMPLE = ROOT / "samples" / "astronaut.png"
_TICKS = os.sysconf("SC_CLK_TCK")
_DECODE = """const [name, kind, done] = [...arguments, (result) => (window.result = result)];
(async () => {
  const decoder = await import("/calotype.js");
  const data = await (await fetch(name)).arrayBuffer();
  const start = performance.now();
  const { width, height } = await decoder[kind](data);
  return [(performance.now() - start) / 1000, width, height];
})().then(done, (error) => done(String(error)));"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="how often each decodes")
    parser.add_argument("--large", type=Path, metavar="FILE", help="a large .calo file to decode once")
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.cores:
        _measure(options.cores, options.rounds, options.large)
        return
    head = (
        "## The browser's decoder against the Python package\n\n"
        f"`python -m benchmarks.browser`, {platform.machine()}, {os.cpu_count()} cores,"
        f" fastest of {options.rounds} rounds in turn; 512x512 pixels.\n\n"
        "| cores | decoder | seconds | / Python | processor seconds | / Python |\n"
        "|---:|---|---:|---:|---:|---:|\n"
    )
    large = ["--large", str(options.large)] if options.large else []
    rows = ""
    for cores in (1, os.cpu_count() or 1):
        command = [sys.executable, "-m", "benchmarks.browser", "--cores", str(cores)]
        command += ["--rounds", str(options.rounds), *(large if cores > 1 else [])]
        rows += subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    _RESULTS.write_text(head + rows, "utf-8")
    print(head + rows)


def _measure(cores: int, rounds: int, large: Path | None) -> None:
    """Measures on a number of cores, to which this process and its browsers are bound, and prints the
    rows.
    """
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    import calotype

    data = calotype.encode(load_rgb(_SAMPLE), target_size=5000, scale=1)
    calotype.decode(data)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        site = Path(temporary) / "site"
        shutil.copytree(ROOT / "web-decoder" / "dist", site)
        (site / "index.html").write_text("<!doctype html><title>decoding</title>", "utf-8")
        (site / "picture.calo").write_bytes(data)
        if large:
            shutil.copy(large, site / "large.calo")
        notes = ""
        for browser_name in (name for name, missing in MISSING.items() if missing is None):
            opened = opened_browser if browser_name == "chromium" else opened_firefox
            with served(site) as address, opened(Path(temporary) / browser_name) as browser:
                browser.get(f"{address}/index.html")
                _decoded(browser, "picture.calo")
                _decoded(browser, "picture.calo", "thumbnail")
                ours, theirs, small = [], [], []
                for _ in range(rounds):
                    ours.append(_timed(lambda: calotype.decode(data), _own_seconds))
                    for kind, times in (("decode", theirs), ("thumbnail", small)):
                        times.append(_timed(_decoding(browser, kind), _browsers_seconds))
                _print_row(cores, "Python", ours, ours)
                _print_row(cores, browser_name, theirs, ours)
                _print_row(cores, f"{browser_name}, thumbnail", small, ours)
                if large:
                    wall, width, height = _decoded_slowly(browser, "large.calo")
                    notes += (
                        f"\n{width}x{height} pixels in {browser_name}: {wall:.0f} s; at most"
                        f" {_largest_process_bytes() / 1e6:,.0f} MB resident in the page's process.\n"
                    )
    print(notes, end="")


def _decoding(browser: Browser, kind: str) -> Callable[[], tuple[float, int, int]]:
    return lambda: _decoded(browser, "picture.calo", kind)


def _decoded(browser: Browser, name: str, kind: str = "decode") -> tuple[float, int, int]:
    """Returns (seconds, width, height) of decoding a file of the site by calotype.js's function ``kind``."""
    answer = browser.execute_async_script(_DECODE, name, kind)
    if isinstance(answer, str):
        raise RuntimeError(answer)
    seconds, width, height = answer
    return seconds, width, height


def _decoded_slowly(browser: Browser, name: str) -> tuple[float, int, int]:
    """Returns what :func:`_decoded` does, for a file that takes longer than the time limit of scripts."""
    browser.execute_script(_DECODE, name, "decode")
    while not (answer := browser.execute_script("return window.result")):
        time.sleep(1)
    seconds, width, height = answer
    return seconds, width, height


def _timed(work: Callable[[], object], processor_seconds: Callable[[], float]) -> tuple[float, float]:
    """Returns (seconds, processor seconds) of ``work``, which may return a tuple that begins with its
    seconds.
    """
    before, start = processor_seconds(), time.perf_counter()
    result = work()
    wall = result[0] if isinstance(result, tuple) else time.perf_counter() - start
    return wall, processor_seconds() - before


def _print_row(
    cores: int, name: str, times: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]]
) -> None:
    wall, processor = min(times)[0], min(seconds for _, seconds in times)
    ratios = wall / min(ours)[0], processor / min(seconds for _, seconds in ours)
    print(f"| {cores} | {name} | {wall:.2f} | {ratios[0]:.2f} | {processor:.2f} | {ratios[1]:.2f} |")


def _own_seconds() -> float:
    return time.process_time()


def _browsers_seconds() -> float:
    """Returns the processor seconds of all running descendants of this process."""
    return sum(_stat(pid)[0] for pid in _descendants())


def _largest_process_bytes() -> int:
    """Returns the peak resident memory of a browser's processes: that of the one with the most."""
    return max(_stat(pid)[1] for pid in _descendants())


def _descendants() -> Iterator[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours and pid not in ours}:
        ours |= more
    yield from ours - {os.getpid()}


def _stat(pid: int) -> tuple[float, int]:
    """Returns (processor seconds, largest resident bytes) of a process; zeros for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0.0, 0
    peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    return (int(fields[11]) + int(fields[12])) / _TICKS, 1024 * peak


if __name__ == "__main__":
    main()
