"""The bytes of an archive besides its pictures, measured on small parts."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calotype.archive.part_writer import GROUP_BYTES, GROUP_ROWS, PART_ROWS, PartWriter
from calotype.archive.schema import Row, picture_bytes
from calotype.archive.store import FolderStore

__all__ = ["Overhead"]


@dataclass(frozen=True)
class Overhead:
    """The bytes of an archive besides payloads, originals and thumbnails.

    There are ``part`` bytes for each part, ``group`` for each row group and ``row`` for each row.
    """

    part: float
    group: float
    row: float

    @classmethod
    def measured(cls, rows: Sequence[Row], names: Sequence[str]) -> Overhead:
        """Writes parts of ``rows`` and measures them.

        If there are fewer rows than a row group has, they are repeated, each time with another id, other
        checksums and another one of ``names``.
        """
        of_one_row, full, two = (
            _overhead_of(rows, names, count) for count in (1, GROUP_ROWS, 2 * GROUP_ROWS)
        )
        full_group = two - full
        part = full - full_group
        row = (full - of_one_row) / (GROUP_ROWS - 1)
        return cls(part, full_group - GROUP_ROWS * row, row)

    def of(self, rows: int, stored_bytes: float, part_size: int) -> float:
        """Returns the additional bytes of an archive of ``rows`` pictures with ``stored_bytes`` bytes."""
        bytes_of_row = stored_bytes / rows
        rows_of_part = min(PART_ROWS, max(math.ceil(part_size / max(bytes_of_row, 1e-9)), 1))
        rows_of_group = min(GROUP_ROWS, max(math.ceil(GROUP_BYTES / max(bytes_of_row, 1e-9)), 1))
        parts, remaining_rows = divmod(rows, rows_of_part)
        groups = parts * math.ceil(rows_of_part / rows_of_group) + math.ceil(remaining_rows / rows_of_group)
        return (parts + bool(remaining_rows)) * self.part + groups * self.group + rows * self.row


def _overhead_of(rows: Sequence[Row], names: Sequence[str], count: int) -> float:
    """Returns the bytes of a part of ``count`` rows besides the pictures."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix=".calotype-") as folder:
        store, stored = FolderStore(Path(folder)), 0
        writer = PartWriter(store, decode=False)
        for number in range(count):
            row = _similar_row(rows[number % len(rows)], random)
            if number >= len(rows):
                row["name"] = names[number % len(names)]
            stored += picture_bytes(row)
            writer.add(row)
        return writer.close("part.parquet").size - stored


def _similar_row(row: Row, random: np.random.Generator) -> Row:
    """Returns a row that compresses equally well, with other random values and short content.

    The content is short, so that the rows fit into one row group, however large their pictures are.
    """
    content = random.bytes(int(random.integers(1, 256)))
    changed = {
        "id": random.bytes(16).hex(),
        "source_sha256": random.bytes(32).hex(),
        "seconds": row["seconds"] * float(random.uniform(0.5, 2)),
    }
    if row["original"] is not None:
        changed |= {"original": content, "source_sha256": hashlib.sha256(content).hexdigest()}
    else:
        sha256 = hashlib.sha256(content).hexdigest()
        changed |= {"payload": content, "payload_bytes": len(content), "payload_sha256": sha256}
    return row | changed
