"""Times of the stages of an archive on a Ray cluster, each measured by itself."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean, pstdev
from time import monotonic, process_time, thread_time
from typing import Any

from benchmarks.archive.writer import row_with_payload
from calotype.archive import Counts, RayEngine, RaySettings, Settings, Work, create
from calotype.archive.engines.encoder import Encoder
from calotype.archive.engines.engine import Outcome
from calotype.archive.engines.ray_engine import block_of
from calotype.archive.part_writer import PART_ROWS, PartWriter
from calotype.archive.sources.item import Item
from calotype.archive.store import FolderStore
from calotype.options import EncodeOptions

__all__ = ["Stages", "coordinate_seconds", "encode_seconds", "measured", "write_seconds"]

_ROWS, _LARGE_ROWS = 5000, 500
"""The numbers of rows of the parts that measure the writing stage, with usual and with large payloads."""

_LARGER = 50
"""The size of a large payload, relative to a usual one."""

_ENCODERS = 2
"""The number of encoders in the run with which coordination and scheduling are measured."""

_MANY_ENCODERS = 64
"""The number of encoders of a cluster on which blocks are large, as those of every long window are."""

_TINY = Work(EncodeOptions(model="tiny", effort=1))


@dataclass(frozen=True)
class Stages:
    """Processor times of the stages for one picture, in seconds.

    ``deviation`` is the standard deviation of the encoding stage between pictures. ``coordinate`` is the time
    of the process that runs the command, which takes rows and passes them to the writing stage. ``schedule``
    is the time of the threads of Ray in that process, for each block of pictures, and ``submit`` the time of
    that process for each large block, before a window begins. ``write`` is the time of the writing stage for
    a row, and ``store`` that for the bytes of its payload. ``start`` is the wall-clock time until a window of
    pictures on a Ray cluster has its first row. ``part`` is the number of pictures in a part.
    """

    read: float
    encode: float
    deviation: float
    coordinate: float
    schedule: float
    submit: float
    write: float
    store: float
    start: float
    part: int

    def with_pixels(self, times: float, encode: float | None = None) -> Stages:
        """Returns the times for pictures with ``times`` as many pixels and bytes.

        ``encode`` is the measured time of encoding one picture; None takes it in proportion to the pixels.
        """
        slower = times if encode is None else encode / self.encode
        return replace(
            self,
            read=self.read * times,
            encode=self.encode * slower,
            deviation=self.deviation * slower,
            store=self.store * times,
            part=max(round(self.part / times), 1),
        )


def measured(folder: Path, small: Path, effort: int) -> Stages:
    """Measures reading and encoding of the pictures in ``folder``.

    Coordination, which does not depend on the size of a picture, is measured with the pictures in ``small``.
    """
    read, times, payload = encode_seconds(folder, effort)
    coordinate, schedule, submit, start = coordinate_seconds(small)
    usual = write_seconds(round(payload), _ROWS)
    large = write_seconds(_LARGER * round(payload), _LARGE_ROWS)
    store = max(large - usual, 0.0) / (_LARGER - 1)
    part = max(min(round(Settings.part_size / payload), PART_ROWS), 1)
    return Stages(
        read, fmean(times), pstdev(times), coordinate, schedule, submit, usual - store, store, start, part
    )


def encode_seconds(folder: Path, effort: int) -> tuple[float, list[float], float]:
    """Returns the processor time of reading a picture, those of encoding each, and the mean bytes."""
    work = Work(EncodeOptions(effort=effort))
    encoder, read, times, sizes = Encoder(work), list[float](), list[float](), list[int]()
    files = sorted(folder.iterdir())
    for file in (files[0], *files):  # The first one loads the models.
        item = Item(str(file), file.name, str(folder), str(file))
        started = process_time()
        data = item.read(work.options.limits)
        begun = process_time()
        row = encoder.row(item, data)
        times.append(process_time() - begun)
        read.append(begun - started)
        sizes.append(row["payload_bytes"])
    return fmean(read[1:]), times[1:], fmean(sizes)


def write_seconds(payload: int, rows: int) -> float:
    """Returns the processor time of writing and verifying a row, with a payload of so many bytes."""
    row = row_with_payload(payload)
    with tempfile.TemporaryDirectory() as folder:
        started = process_time()
        writer = PartWriter(FolderStore(Path(folder)), decode=False)
        for number in range(rows):
            id_ = sha256(number.to_bytes(4, "big")).hexdigest()
            writer.add(row | {"id": id_[:32], "source_sha256": id_, "name": f"{number:06d}.png"})
        writer.close("part.parquet")
        return (process_time() - started) / rows


def coordinate_seconds(small: Path) -> tuple[float, float, float, float]:
    """Returns the processor time of a picture in the main thread of a command with Ray, that of a block in
    its other threads, that of a block to hand a window over to Ray, and the seconds by the clock from the
    beginning of a window to its first row.
    """
    moments = list[tuple[float, float, float]]()

    def progress(_: Counts) -> None:
        moments.append((monotonic(), process_time(), thread_time()))

    with tempfile.TemporaryDirectory() as folder:
        engine = _TimedRayEngine(_TINY, RaySettings(encoders=_ENCODERS))
        counts = create([small], Path(folder, "archive"), Settings(_TINY), engine=engine, progress=progress)
    first, last = moments[0], moments[counts.input - 1]
    _, whole, main = (after - before for before, after in zip(first, last, strict=True))
    blocks = (counts.input - 1) / block_of(_ENCODERS)
    return main / (counts.input - 1), (whole - main) / blocks, engine.submit, first[0] - engine.began


class _TimedRayEngine(RayEngine):
    """Records when it gets pictures, the cluster being started, and the time of submitting a block."""

    began = submit = 0.0

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        self.began = monotonic()
        return super().encode(items, stop)

    def _dataset(self, window: list[Item], encoders: int) -> Any:
        super()._dataset(window, _MANY_ENCODERS)  # the first one takes longer
        started = thread_time()
        super()._dataset(window, _MANY_ENCODERS)
        self.submit = (thread_time() - started) / -(-len(window) // block_of(_MANY_ENCODERS))
        return super()._dataset(window, encoders)
