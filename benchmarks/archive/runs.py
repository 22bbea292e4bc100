"""Runs over a folder of pictures: the codec alone, or a whole archive by an engine."""

from __future__ import annotations

import atexit
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import pstdev
from time import monotonic, process_time
from typing import Any

from benchmarks.archive.processes import tree_seconds
from calotype.archive import Archive, RayEngine, RaySettings, Settings, Work, create
from calotype.archive.engines.encoder import codec_of
from calotype.options import EncodeOptions

__all__ = ["CODEC", "ENGINES", "Run", "fresh", "measure", "run"]

CODEC = "codec"
"""The name, in the place of an engine, of the codec alone, which encodes files in a loop without an
archive."""

ENGINES = (CODEC, "local", "ray")


@dataclass(frozen=True)
class Run:
    """One run.

    ``seconds`` is the wall-clock time without the start of Python. ``core_seconds`` is the processor time of
    all processes, those of Ray included, until the last picture is done. ``codec_seconds`` is the wall-clock
    time of the codec in all workers, and ``deviation`` the standard deviation of its time for a picture.
    ``peak`` is the peak resident memory of the process that writes, in MB, and ``worker_peak`` that of its
    largest worker.
    """

    engine: str
    workers: int
    pictures: int
    seconds: float
    core_seconds: float
    codec_seconds: float
    deviation: float
    peak: float
    worker_peak: float


def run(engine: str, workers: int, files: Sequence[Path], effort: int) -> Run:
    """Runs the codec or an engine in this process, which must be fresh.

    The engine "ray" has a cluster of ``workers`` nodes on this machine, with one CPU each.
    """
    options, chosen, at_end = EncodeOptions(effort=effort), None, list[float]()
    if engine == "ray":
        chosen = RayEngine(Work(options), RaySettings(encoders=workers, address=_cluster_of(workers)))
    started = monotonic()
    if engine == CODEC:
        codec, times = codec_of(Work(options)), list[float]()
        for file in files:
            begun = monotonic()
            codec.encode(file, options)
            times.append(monotonic() - begun)
    else:
        with tempfile.TemporaryDirectory() as folder:
            destination, manifest = Path(folder, "archive"), Path(folder, "list.txt")
            manifest.write_text("".join(f"{file}\n" for file in files))
            counts = create(
                [manifest],
                destination,
                Settings(Work(options), workers),
                engine=chosen,
                progress=lambda counts: (
                    at_end.append(tree_seconds(os.getpid()))
                    if counts.input == len(files) and not at_end
                    else None
                ),
            )
            if counts.archived != len(files):
                raise SystemExit(f"only {counts.archived} of {len(files)} pictures were archived")
            with Archive(destination) as archive:
                times = [row["seconds"] for row in archive.rows(["seconds"])]
    seconds = monotonic() - started
    core_seconds = at_end[0] if at_end else process_time()
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak, worker_peak = (usage.ru_maxrss * 1024 / 1e6 for usage in usages)
    return Run(
        engine, workers, len(files), seconds, core_seconds, sum(times), pstdev(times), peak, worker_peak
    )


def _cluster_of(nodes: int) -> str:
    """Starts a cluster of nodes with one CPU each, which ends with this process; returns its address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    atexit.register(cluster.shutdown)
    for _ in range(1, nodes):
        cluster.add_node(num_cpus=1)
    return str(cluster.address)


def measure(engine: str, workers: int, folder: Path, count: int, effort: int) -> Run:
    """Runs the first ``count`` pictures of ``folder`` in fresh processes.

    The codec alone has ``workers`` processes at the same time, which share the pictures.
    """
    if engine != CODEC or workers == 1:
        return Run(**fresh("_run", engine, workers, folder, count, effort, 0))
    processes = [start("_run", engine, workers, folder, count, effort, n) for n in range(workers)]
    parts = [Run(**finished(process)) for process in processes]
    return Run(
        engine,
        workers,
        sum(part.pictures for part in parts),
        max(part.seconds for part in parts),
        sum(part.core_seconds for part in parts),
        sum(part.codec_seconds for part in parts),
        parts[0].deviation,
        0.0,
        max(part.peak for part in parts),
    )


def pictures_of(engine: str, workers: int, folder: Path, count: int, number: int) -> list[Path]:
    """Returns the files of a run; of the codec's process ``number`` its share."""
    files = sorted(folder.iterdir())[:count]
    return files[number::workers] if engine == CODEC else files


def start(*arguments: object) -> subprocess.Popen[str]:
    """Starts a command of this benchmark in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.archive", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Returns the JSON object that a process has printed last."""
    shown, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args!r} failed")
    result: dict[str, Any] = json.loads(shown.splitlines()[-1])
    return result


def fresh(*arguments: object) -> dict[str, Any]:
    """Returns what a command of this benchmark prints in a fresh process."""
    return finished(start(*arguments))
