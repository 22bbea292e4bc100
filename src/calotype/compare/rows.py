"""Figures: one row for each picture, codec and size, and the same as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calotype.compare.metrics import METRICS
from calotype.errors import SourceError

__all__ = ["COLUMNS", "Row", "read_rows", "rows_of_pictures_all_coded", "rows_to_csv", "rows_to_json"]


@dataclass(frozen=True)
class Row:
    """One picture by one codec.

    ``budget`` is the largest size allowed, and ``size`` that of the whole file, in bytes. ``fits`` says
    whether the size is within the budget; otherwise the file is the codec's smallest. ``figures`` are by the
    name of the metric; None means that there is no value.
    """

    picture: str
    codec: str
    budget: int
    size: int
    fits: bool
    width: int
    height: int
    figures: dict[str, float | None]

    @property
    def bpp(self) -> float:
        """Returns the bits per pixel of the whole file."""
        return 8 * self.size / (self.width * self.height)

    @property
    def ratio(self) -> float:
        """Returns the ratio of 8-bit RGB without compression to the file."""
        return 3 * self.width * self.height / self.size

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values, rounded to their useful digits; None for a figure that is missing or
        infinite.
        """
        plain = {
            "picture": self.picture,
            "codec": self.codec,
            "budget": self.budget,
            "bytes": self.size,
            "fits": int(self.fits),
            "width": self.width,
            "height": self.height,
            "bpp": round(self.bpp, 5),
            "ratio": round(self.ratio, 2),
        }
        return plain | {name: _rounded_figure(self.figures.get(name)) for name in METRICS}


def rows_of_pictures_all_coded(rows: Iterable[Row]) -> list[Row]:
    """Returns the rows of the pictures that every codec has coded: only their means can be compared."""
    rows = list(rows)
    codecs: dict[str, set[str]] = {}
    for row in rows:
        codecs.setdefault(row.picture, set()).add(row.codec)
    every = {row.codec for row in rows}
    return [row for row in rows if codecs[row.picture] == every]


COLUMNS = ("picture", "codec", "budget", "bytes", "fits", "width", "height", "bpp", "ratio", *METRICS)
"""The columns of the CSV file; ``fits`` is 0 or 1."""


def _rounded_figure(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 5)


def rows_to_csv(rows: Iterable[Row], *, header: bool = True) -> str:
    """Writes one line for each row; a figure that is missing is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(row.as_dict() for row in rows)
    return file.getvalue()


def rows_to_json(rows: Iterable[Row], **remarks: Any) -> str:
    """Returns ``{"rows": [...]}`` and further fields as JSON."""
    return json.dumps(remarks | {"rows": [row.as_dict() for row in rows]}, indent=1) + "\n"


def read_rows(path: Path) -> list[Row]:
    """Reads the rows that :func:`rows_to_csv` wrote; an incomplete last line is left out.

    Raises :class:`SourceError` for a file of another kind.
    """
    try:
        text = path.read_text("utf-8")
    except ValueError as error:
        raise SourceError(f"{path} is damaged: {error}") from error
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    if reader.fieldnames is None:
        return []
    if tuple(reader.fieldnames) != COLUMNS:
        raise SourceError(f"{path} is not a table of figures: its columns are not {', '.join(COLUMNS)}")
    try:
        return [_row_of_csv_line(line) for line in reader]
    except (TypeError, ValueError) as error:
        raise SourceError(f"{path} is damaged at line {reader.line_num}: {error}") from error


def _row_of_csv_line(line: dict[str, str]) -> Row:
    return Row(
        picture=line["picture"],
        codec=line["codec"],
        budget=int(line["budget"]),
        size=int(line["bytes"]),
        fits=line["fits"] == "1",
        width=int(line["width"]),
        height=int(line["height"]),
        figures={name: float(line[name]) if line[name] else None for name in METRICS},
    )
