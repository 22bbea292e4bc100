"""What archiving costs besides encoding, and what many machines would do: ``python -m benchmarks.archive``.

``writer``: how many rows the process that writes can take in a second, and its memory, without encoding.
``encode``: pictures a second and memory with one and two workers and, with ``--ray``, on a Ray cluster of
this machine, against the time of the codec itself. ``simulate``: 1 to 1,000 machines, by the figures of the
other two. Each measurement runs in a fresh process.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import numpy as np
from PIL import Image

from calotype.archive import Archive, RaySettings, Settings, Work, create, ray_engine
from calotype.archive.item import Item
from calotype.archive.work import Encoded, Encoder
from calotype.options import EncodeOptions

__all__ = ["Cluster", "Encoding", "Writing", "encoding", "main", "simulated", "writing"]

_PAYLOAD = 5000
"""Bytes of a picture in the measurement of the writer: those of a photograph of 512x512 at quality 50."""

_BLOCK, _WINDOW = 8, 1000
"""As in calotype.archive.ray_engine: pictures in a block, and for each encoder in a window."""


@dataclass(frozen=True)
class Writing:
    """Seconds of a core, and the largest resident memory in MB, of writing ``rows`` rows."""

    rows: int
    seconds: float
    peak: float


@dataclass(frozen=True)
class Encoding:
    """A run: its engine, workers and pictures, the ``seconds`` it took, those of the codec in all workers,
    ``core_seconds`` of all processes, and the largest resident memory in MB of the writing process and of its
    largest worker.
    """

    engine: str
    workers: int
    pictures: int
    seconds: float
    codec_seconds: float
    core_seconds: float
    peak: float
    worker_peak: float


@dataclass(frozen=True)
class Cluster:
    """What a simulation assumes: times in seconds a picture, of one core or of the writer."""

    nodes: int
    cores: int
    encode: float
    deviation: float
    write: float
    start: float


def writing(count: int) -> Writing:
    """Measures the process that writes, with rows that are all alike but for their names."""
    content = np.random.default_rng(0).bytes(_PAYLOAD)
    with tempfile.TemporaryDirectory() as folder:
        picture, manifest = Path(folder, "a.png"), Path(folder, "list.txt")
        Image.new("RGB", (16, 16)).save(picture)
        item = Item(str(picture), "a.png", folder, str(picture))
        made = Encoder(Work(EncodeOptions(model="tiny", effort=1)))(item)
        assert isinstance(made, Encoded)
        known = {"payload": content, "payload_bytes": len(content)}
        known["payload_sha256"] = sha256(content).hexdigest()
        manifest.write_text("".join(f"photos/{number:09d}.jpg\n" for number in range(count)))

        def engine(items: Iterable[Item], _: threading.Event) -> Iterator[tuple[Item, Any]]:
            for one in items:
                names = {"id": one.id, "name": one.name, "uri": one.uri}
                yield one, Encoded(made.row | known | names | {"source_sha256": one.id * 2})

        started = process_time()
        counts = create([manifest], Path(folder, "archive"), engine=engine)
        seconds = process_time() - started
    assert counts.archived == count
    return Writing(count, seconds, _peak(resource.RUSAGE_SELF))


def encoding(engine: str, workers: int, folder: Path, effort: int) -> Encoding:
    """Measures a run over the pictures of ``folder``."""
    work = Work(EncodeOptions(effort=effort))
    chosen = ray_engine(work, RaySettings(encoders=workers)) if engine == "ray" else None
    with tempfile.TemporaryDirectory() as out:
        started = monotonic()
        counts = create([folder], Path(out, "archive"), Settings(work, workers), engine=chosen)
        seconds = monotonic() - started
        with Archive(Path(out, "archive")) as archive:
            codec = sum(row["seconds"] for row in archive.rows(["seconds"]))
    peaks = _peak(resource.RUSAGE_SELF), _peak(resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cores = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return Encoding(engine, workers, counts.archived, seconds, codec, cores, *peaks)


def simulated(cluster: Cluster, *, windows: int = 2) -> float:
    """Returns the pictures a second of a cluster whose encoders take blocks, and whose writer takes pictures
    in their order.

    Times of pictures are gamma-distributed. At the end of a window all encoders wait for the last of them
    and start anew. Reading is taken to keep pace.
    """
    encoders = cluster.nodes * cluster.cores
    generator = np.random.default_rng(0)
    shape = (cluster.encode / cluster.deviation) ** 2
    blocks = encoders * _WINDOW // _BLOCK
    now = 0.0
    for _ in range(windows):
        free = [now + cluster.start] * encoders
        written = now
        durations = generator.gamma(shape * _BLOCK, cluster.encode / shape, blocks)
        for duration in durations:
            done = heapq.heappop(free) + float(duration)
            heapq.heappush(free, done)
            written = max(written, done) + _BLOCK * cluster.write
        now = max(written, *free)
    return windows * blocks * _BLOCK / now


def _peak(who: int) -> float:
    return resource.getrusage(who).ru_maxrss * 1024 / 1e6


def _fresh(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.archive", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _pictures(source: Path, folder: Path, count: int, side: int) -> None:
    """Writes ``count`` crops of ``side`` x ``side`` pixels of the pictures in ``source``."""
    places = random.Random(0)
    files = sorted(path for path in source.iterdir() if path.suffix in (".png", ".jpg"))
    for number in range(count):
        with Image.open(files[number % len(files)]) as image:
            left, top = (places.randrange(max(length - side, 0) + 1) for length in image.size)
            image.convert("RGB").crop((left, top, left + side, top + side)).save(folder / f"{number:05d}.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writer = commands.add_parser("writer")
    writer.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    encode = commands.add_parser("encode")
    encode.add_argument("source", type=Path, help="a folder of photographs")
    encode.add_argument("--pictures", type=int, default=48)
    encode.add_argument("--side", type=int, default=256)
    encode.add_argument("--effort", type=int, default=3)
    encode.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    encode.add_argument("--ray", action="store_true")
    simulate = commands.add_parser("simulate")
    simulate.add_argument("--cores", type=int, default=16)
    simulate.add_argument("--encode", type=float, required=True, help="seconds of a core for a picture")
    simulate.add_argument("--deviation", type=float, default=0.3, help="of these seconds")
    simulate.add_argument("--write", type=float, required=True, help="seconds of the writer for a picture")
    simulate.add_argument("--start", type=float, default=10.0, help="seconds until encoders work")
    for name, types in (("_writing", (int,)), ("_encoding", (str, int, Path, int))):
        one = commands.add_parser(name)
        for number, kind in enumerate(types):
            one.add_argument(f"a{number}", type=kind)
    options = parser.parse_args(arguments)
    values = [value for name, value in sorted(vars(options).items()) if name.startswith("a")]
    if options.command == "_writing":
        print(json.dumps(asdict(writing(*values))))
    elif options.command == "_encoding":
        print(json.dumps(asdict(encoding(*values))))
    elif options.command == "writer":
        print("| rows | seconds of a core | rows a second | peak MB |\n|---:|---:|---:|---:|")
        for rows in options.rows:
            found = Writing(**_fresh("_writing", rows))
            rate = found.rows / found.seconds
            print(f"| {found.rows:,} | {found.seconds:.1f} | {rate:,.0f} | {found.peak:.0f} |", flush=True)
    elif options.command == "encode":
        _print_encoding(options)
    else:
        print("| nodes | encoders | pictures a second | of the ideal |\n|---:|---:|---:|---:|")
        for nodes in (1, 10, 100, 1000):
            cluster = Cluster(
                nodes, options.cores, options.encode, options.deviation, options.write, options.start
            )
            encoders, rate = nodes * options.cores, simulated(cluster, windows=1 if nodes > 100 else 2)
            share = rate * options.encode / encoders
            print(f"| {nodes:,} | {encoders:,} | {rate:,.1f} | {share:.0%} |", flush=True)
    return 0


def _print_encoding(options: argparse.Namespace) -> None:
    print(
        "| engine | workers | pictures | seconds | a second | over the codec's time | seconds of a core"
        " | peak MB | of a worker |"
    )
    print("|---" + 8 * "|---:" + "|")
    with tempfile.TemporaryDirectory() as folder:
        _pictures(options.source, Path(folder), options.pictures, options.side)
        for engine in ("local", "ray") if options.ray else ("local",):
            for workers in options.workers:
                found = Encoding(**_fresh("_encoding", engine, workers, folder, options.effort))
                over = found.seconds * found.workers / found.codec_seconds - 1
                cells = [
                    found.engine,
                    f"{found.workers}",
                    f"{found.pictures}",
                    f"{found.seconds:.1f}",
                    f"{found.pictures / found.seconds:.2f}",
                    f"{over:.1%}",
                    f"{found.core_seconds:.1f}",
                    f"{found.peak:.0f}",
                    f"{found.worker_peak:.0f}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
