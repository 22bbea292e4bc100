"""Kills runs of ``calotype.archive.create`` again and again, and checks that nothing is lost or doubled.

``python -m scripts.kill_archive --pictures 10000 --kills 200``. Each run is a forked process that SIGKILL
ends at a random moment. Runs encode with the model "tiny" in their own process, which saves the start of
workers. The writing of parts, records, errors and index, which a kill might damage, is that of all archives.
The last run is not killed. Then every picture must be in the archive exactly once, every checksum and latent
must be right, and nothing else may be in the folder. Needs ``calotype[archive]`` and a system that forks.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from calotype.archive import Archive, Engine, Settings, Work, create
from calotype.archive.engines.encoder import Encoder
from calotype.archive.engines.engine import Outcome
from calotype.archive.sources.item import Item
from calotype.options import EncodeOptions

__all__ = ["check", "kill_often", "main", "make_pictures"]

_BROKEN_EVERY = 100
"""One in this number of files is not a picture, and belongs in the errors table."""


class _InlineEngine(Engine):
    """An engine that encodes in the process that writes."""

    def __init__(self, work: Work) -> None:
        self._encoder = Encoder(work)

    def encode(self, items: Iterable[Item], _: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        return ((item, self._encoder(item)) for item in items)


def make_pictures(folder: Path, count: int) -> None:
    """Fills ``folder`` with ``count`` files: pictures of 16x16 pixels, and a few other files."""
    folder.mkdir(parents=True)
    colours = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), np.uint8)
    for number, pixels in enumerate(colours):
        path = folder / f"{number:06d}.png"
        if number % _BROKEN_EVERY == _BROKEN_EVERY - 1:
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(pixels).resize((16, 16)).save(path)


def kill_often(
    pictures: Path, archive: Path, kills: int, *, longest: float, part_size: int, seed: int
) -> Counter[str]:
    """Starts runs and kills each after up to ``longest`` seconds; the last one is not killed.

    Returns the number of runs that were killed, and of those that had ended before.
    """
    settings = Settings(Work(EncodeOptions(model="tiny", effort=1)), part_size=part_size)
    engine, moments, ended = _InlineEngine(settings.work), random.Random(seed), Counter[str]()
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            create([pictures], archive, settings, engine=engine)
            os._exit(0)
        time.sleep(moments.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        ended["killed" if os.WIFSIGNALED(status) else "finished" if status == 0 else "failed"] += 1
    create([pictures], archive, settings, engine=engine)
    return ended


def check(pictures: Path, archive: Path) -> list[str]:
    """Returns the errors of the archive of these pictures; none if it is complete."""
    wrong = []
    expected = {path.name for path in pictures.iterdir()}
    with Archive(archive) as opened:
        copies = Counter(row["name"] for row in opened.rows(["name"]))
        failed = Counter(row["name"] for row in opened.errors())
        wrong += [f"{name} is there {count} times" for name, count in (copies + failed).items() if count > 1]
        wrong += [f"{name} is lost" for name in expected - set(copies) - set(failed)]
        wrong += [f"{name} is not one of the pictures" for name in (set(copies) | set(failed)) - expected]
        wrong += [str(problem) for problem in opened.verify() if problem is not None]
        wrong += [f"{name} is not found" for name in copies if len(opened.find(name)) != 1]
        parts = {record.name for record in opened.records}
    left = {path.relative_to(archive).as_posix() for path in archive.rglob("*") if path.is_file()}
    known = {"archive.json", "index.sqlite", ".lock", *parts}
    other = [name for name in left - known if not name.startswith(("records/part-", "errors/errors-"))]
    return wrong + [f"{name} was left" for name in other]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.kill_archive", description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000, metavar="N")
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument(
        "--longest", type=float, default=2.0, metavar="SECONDS", help="latest moment of a kill"
    )
    parser.add_argument("--part-size", type=int, default=1500, metavar="BYTES")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        pictures, archive = Path(folder, "pictures"), Path(folder, "archive")
        make_pictures(pictures, options.pictures)
        started = time.monotonic()
        ended = kill_often(
            pictures,
            archive,
            options.kills,
            longest=options.longest,
            part_size=options.part_size,
            seed=options.seed,
        )
        wrong = check(pictures, archive)
        parts = len(list((archive / "parts").iterdir()))
    figures = vars(options) | dict(ended) | {"parts": parts, "seconds": round(time.monotonic() - started)}
    print(json.dumps(figures | {"wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
