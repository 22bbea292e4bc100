"""What the tests of archives share."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from calotype.archive import Archive, Counts, Engine, Settings, Work, create
from calotype.archive.engines.encoder import Encoder
from calotype.archive.sources.item import Item
from calotype.options import EncodeOptions

# At a given scale a picture takes one coding pass instead of several that look for the best scale.
TINY = Work(EncodeOptions(model="tiny", effort=1, scale=1))


def write_picture(path: Path, seed: int, side: int = 16) -> Path:
    """Writes a picture of few colours, which depend on the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
    Image.fromarray(pixels).resize((side, side)).save(path)
    return path


@cache
def encoder(work: Work) -> Encoder:
    return Encoder(work)


class InlineEngine(Engine):
    """Works in this process, one picture after the other."""

    def __init__(self, work: Work) -> None:
        self._encoder: Callable[[Item], Any] = encoder(work)

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Any]]:
        for item in items:
            if stop.is_set():
                return
            yield item, self._encoder(item)


class RepeatingEngine(InlineEngine):
    """Encodes a picture once, and has the same result for later runs."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._encoder = cache(self._encoder)


def archived(sources: Any, destination: Any, work: Work = TINY, **settings: Any) -> Counts:
    """Makes an archive in this process."""
    listed = sources if isinstance(sources, list) else [sources]
    return create(listed, destination, Settings(work, **settings), engine=InlineEngine(work))


def contents(address: Any) -> dict[str, tuple[Any, ...]]:
    """Returns the row of each picture by name, without the values that depend on the time."""
    with Archive(address) as archive:
        rows = [archive.resolved(row) for row in archive.rows()]
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)
    return {row["name"]: tuple(value for name, value in row.items() if name != "seconds") for row in rows}


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it, and the store is not used after it."""


class FaultyFileSystem(MemoryFileSystem):
    """A store in memory whose writes fail: by a disk that is full with ``room`` bytes, or by errors."""

    protocol = "faulty"
    store: dict[str, Any] = {}  # noqa: RUF012 (as in the parent class)
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    room: float = float("inf")
    failures = 0
    """How many of the next writes fail with an error that passes."""
    operations_left: float = float("inf")
    """After so many moments before and after writes and deletions the process dies."""

    def put_file(self, lpath: Any, rpath: Any, **options: Any) -> None:
        cls = type(self)
        cls.live()
        if cls.failures:
            cls.failures -= 1
            raise OSError(errno.EIO, "Input/output error")
        if sum(len(file.getbuffer()) for file in self.store.values()) + Path(lpath).stat().st_size > cls.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        with self.open(rpath, "wb") as file:
            file.write(Path(lpath).read_bytes())
        cls.live()

    def rm_file(self, path: str) -> None:
        self.live()
        super().rm_file(path)
        self.live()

    @classmethod
    def live(cls) -> None:
        if cls.operations_left <= 0:
            raise Killed
        cls.operations_left -= 1


class SlowFileSystem(FaultyFileSystem):
    """A store in memory that takes a moment for everything."""

    protocol = "slow"
    store: dict[str, Any] = {}  # noqa: RUF012 (as in the parent class)
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    delay = 0.01

    def put_file(self, lpath: Any, rpath: Any, **options: Any) -> None:
        time.sleep(self.delay)
        super().put_file(lpath, rpath, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        time.sleep(self.delay)
        return super().ls(path, detail, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        time.sleep(self.delay)
        return super()._open(path, mode, **options)


class LockedFileSystem(MemoryFileSystem):
    """A store that wants credentials."""

    protocol = "locked"

    def _open(self, *_: Any, **__: Any) -> Any:
        raise PermissionError("Unable to locate credentials")

    def info(self, *_: Any, **__: Any) -> Any:
        raise PermissionError("Unable to locate credentials")

    def ls(self, *_: Any, **__: Any) -> Any:
        raise PermissionError("Unable to locate credentials")
