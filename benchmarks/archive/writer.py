"""The time and the memory of the process that writes an archive, without encoding."""

from __future__ import annotations

import resource
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import process_time

import numpy as np
from PIL import Image

from calotype.archive import Engine, Work, create
from calotype.archive.engines.encoder import Encoded, Encoder
from calotype.archive.engines.engine import Outcome
from calotype.archive.schema import Row
from calotype.archive.sources.item import Item
from calotype.options import EncodeOptions

__all__ = ["Writing", "row_with_payload", "written"]


@dataclass(frozen=True)
class Writing:
    """A run: its rows, its processor time in seconds, and its peak resident memory in MB."""

    rows: int
    core_seconds: float
    peak: float


def row_with_payload(size: int) -> Row:
    """Returns the row of a picture, with ``size`` random bytes as its payload."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "a.png")
        Image.new("RGB", (16, 16)).save(picture)
        made = Encoder(Work(EncodeOptions(model="tiny", effort=1)))(
            Item(str(picture), "a.png", folder, str(picture))
        )
    assert isinstance(made, Encoded)
    payload = np.random.default_rng(0).bytes(size)
    known = {"payload": payload, "payload_bytes": size, "payload_sha256": sha256(payload).hexdigest()}
    return made.row | known


class _NoEncoding(Engine):
    """Gives each picture the same row, but for id, name, address and checksum."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def encode(self, items: Iterable[Item], stop: threading.Event) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            names = {"id": item.id, "name": item.name, "uri": item.uri, "source_sha256": 2 * item.id}
            yield item, Encoded(self._row | names)


def written(rows: int, payload: int) -> Writing:
    """Archives ``rows`` rows with payloads of ``payload`` bytes: writes, reads back, verifies and records
    them.
    """
    engine = _NoEncoding(row_with_payload(payload))
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "list.txt")
        with manifest.open("w") as file:
            file.writelines(f"photos/{number:09d}.jpg\n" for number in range(rows))
        started = process_time()
        counts = create([manifest], Path(folder, "archive"), engine=engine)
        seconds = process_time() - started
    if counts.archived != rows:
        raise SystemExit(f"only {counts.archived} of {rows} rows were written")
    return Writing(rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
