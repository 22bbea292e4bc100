"""Seconds and memory of pocket against TAESD: ``python -m benchmarks.speed``.

Every measurement runs in a fresh process with the same number of threads. Pocket's times are end to end
(pixels to file, file to pixels, entropy coding included). TAESD's are those of its networks alone (pixels to
latents, latents to pixels) in torch and float32. "entropy" is the part of pocket's decoding from the file to
latents; the rest of "decode" is its pixel decoder. "target" encodes for a size of 0.15 bits per pixel.
"pocket-openvino" and "-bf16" are pocket with the other backends, if OpenVINO is installed. "pocket-networks"
are its networks alone, by the same arithmetic as TAESD's. Networks alone process pictures over 4 megapixels
in tiles of 1024x1024 without overlap: untiled, one feature map of TAESD takes 4.3 GB at 4096x4096. AVIF
(speed 6) and JPEG XL (effort 7), through Pillow at quality 50, are measured for orientation. With
``--busy N``, N processes compute during each measurement. With several sizes a second table has seconds and
memory per megapixel.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pictures import ROOT
from benchmarks.targets import Target, at_most, markdown

__all__ = ["Measurement", "busy_processes", "growth", "main", "measure", "table", "targets"]

SIZES = ("512x512", "1920x1080", "4096x4096")
MODELS = (
    "pocket",
    "pocket-openvino",
    "pocket-openvino-bf16",
    "pocket-networks",
    "taesd",
    "taesd-bf16",
    "avif",
    "jxl",
)
_NEEDS = {
    "pocket-openvino": ["openvino"],
    "pocket-openvino-bf16": ["openvino"],
    "pocket-networks": ["torch", "safetensors"],
    "taesd": ["torch", "safetensors"],
    "taesd-bf16": ["torch", "safetensors"],
    "avif": ["PIL"],
    "jxl": ["pillow_jxl"],
}
OPERATIONS = {"encode": MODELS, "target": ("pocket",), "decode": MODELS, "entropy": ("pocket",)}

_NETWORKS = "pocket-networks"
_RATIOS = {"encode": ("encoder", 0.6), "decode": ("decoder", 0.5)}
"""By operation: the network of pocket, and the largest ratio of its time to that of TAESD's that is
wanted."""

_LARGE, _MAX_MEGABYTES = "4096x4096", 1000
"""The size for which pocket's memory has a limit, and the limit."""

_GOALS = {"encode": ("encode", 0.2), "target": ("encode", 0.8), "decode": ("decode", 0.2)}
"""By operation of pocket: the operation of TAESD, and the largest ratio of pocket's time to its time that is
wanted."""


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    ``seconds`` is the shortest time of the repeats, with the model loaded, and ``first`` the time of the
    first call, loading included. ``processor`` is the shortest time of the repeats on all cores together,
    which other processes change less. ``peak`` is the process's peak resident memory in MB (1,000,000 bytes).
    """

    model: str
    operation: str
    size: str
    seconds: float
    first: float
    peak: float
    processor: float


def measure(model: str, operation: str, size: str, file: Path, *, threads: int, repeats: int) -> Measurement:
    """Measures in a fresh process.

    The operation "encode" writes ``file``, which the other operations read.
    """
    arguments = [model, operation, size, str(file), str(threads), str(repeats)]
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-m", "benchmarks.speed_worker", *arguments]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | limits
    )
    return Measurement(model, operation, size, **json.loads(done.stdout))


def table(measurements: Sequence[Measurement]) -> str:
    """Returns a Markdown table of sizes, operations and models, with ratios to TAESD's figures."""
    lines = [
        "| size | operation | model | seconds | first call | peak MB | time / TAESD | memory / TAESD |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    reference = {(m.size, m.operation): m for m in measurements if m.model == "taesd"}
    for m in measurements:
        base = reference.get((m.size, m.operation))
        ratios = "- | -" if base is None else f"{m.seconds / base.seconds:.2f} | {m.peak / base.peak:.2f}"
        figures = f"{m.seconds:.2f} | {m.first:.2f} | {m.peak:,.0f} | {ratios}"
        lines.append(f"| {m.size} | {m.operation} | {m.model} | {figures} |")
    return "\n".join(lines) + "\n"


def targets(measurements: Sequence[Measurement]) -> list[Target]:
    """Returns the ratios of the times of pocket's networks to those of TAESD's, if both were measured.

    At 4096x4096 pocket's memory has a limit.
    """
    seconds = {(m.model, m.operation, m.size): m.seconds for m in measurements}
    lines = []
    for size in dict.fromkeys(m.size for m in measurements):
        for operation, (network, limit) in _RATIOS.items():
            ours, theirs = (seconds.get((model, operation, size)) for model in (_NETWORKS, "taesd"))
            if ours is not None and theirs is not None:
                what = f"{size}: {network} network, of the time of TAESD's"
                lines.append(at_most("Targets", what, limit, ours / theirs, ".2f"))
        for operation, (network, limit) in _GOALS.items():
            ours, theirs = seconds.get(("pocket", operation, size)), seconds.get(("taesd", network, size))
            if ours is not None and theirs is not None:
                what = f"{size}: {operation}, of the time of TAESD's {network}r alone"
                lines.append(at_most("Targets", what, limit, ours / theirs, ".2f"))
    for m in measurements:
        if (m.model, m.size) == ("pocket", _LARGE):
            what = f"{m.size}: memory of {m.operation}"
            lines.append(at_most("Targets", what, _MAX_MEGABYTES, m.peak, ",.0f", " MB"))
    return lines


def growth(measurements: Sequence[Measurement]) -> str:
    """Returns a Markdown table of pocket's seconds and memory per megapixel; empty with fewer than two
    sizes.
    """
    own = [m for m in measurements if m.model == "pocket"]
    if len({m.size for m in own}) < 2:
        return ""
    lines = [
        "| operation | size | megapixels | seconds / megapixel | processor seconds / megapixel | peak MB"
        " | MB / megapixel |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for operation in OPERATIONS:
        for m in [m for m in own if m.operation == operation]:
            width, height = (int(side) for side in m.size.split("x"))
            area = width * height / 1e6
            times = f"{m.seconds / area:.2f} | {m.processor / area:.2f}"
            figures = f"{times} | {m.peak:,.0f} | {m.peak / area:,.0f}"
            lines.append(f"| {operation} | {m.size} | {area:.2f} | {figures} |")
    return "\n".join(lines) + "\n"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Runs ``count`` processes that compute without end."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    models = []
    for model in options.models:
        if missing := [name for name in _NEEDS.get(model, ()) if importlib.util.find_spec(name) is None]:
            print(f"{model}: skipped (No module named {missing[0]!r})", file=sys.stderr)
        else:
            models.append(model)
    measurements = []
    with tempfile.TemporaryDirectory() as folder, busy_processes(options.busy):
        for size in options.sizes:
            for operation in [name for name in OPERATIONS if name in options.operations]:
                for model in [m for m in OPERATIONS[operation] if m in models]:
                    file = Path(folder) / f"{model}-{size}"
                    measurement = measure(
                        model, operation, size, file, threads=options.threads, repeats=options.repeats
                    )
                    measurements.append(measurement)
                    print(f"{size} {operation} {model}: {measurement.seconds:.2f} s", file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    beside = f", beside {options.busy} busy process{'es' * (options.busy > 1)}" if options.busy else ""
    text = f"## Speed, {options.threads} threads{beside}\n\n{table(measurements)}"
    if per_megapixel := growth(measurements):
        text += f"\n{per_megapixel}"
    if lines := targets(measurements):
        text += f"\n{markdown(lines)}"
    options.out.write_text(text)
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--operations", nargs="+", choices=list(OPERATIONS), default=list(OPERATIONS))
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="after the first call; 0 takes the time of that"
    )
    parser.add_argument(
        "--busy",
        type=int,
        default=0,
        metavar="N",
        help="number of other processes that compute at the same time",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.md")
    return parser


if __name__ == "__main__":
    main()
