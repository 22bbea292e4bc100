"""The pictures of an archive that a data set has, numbered by row groups, so that memory holds little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.archive.extras import arrow, parquet
from calotype.archive.reader import Archive
from calotype.errors import FormatError

__all__ = ["Filters", "Selection", "select"]

Filters = Sequence[tuple[str, str, Any]] | Sequence[Sequence[tuple[str, str, Any]]]
"""The type of conditions on columns, as for ``pyarrow.parquet.read_table``."""

_REFERENCES = ["id", "duplicate_of", "payload_sha256"]
_ROW = "number of the row"

Rows = NDArray[np.int64]


class Selection:
    """The selected pictures, in the order of the archive.

    Row groups that hold some of them are numbered from 0; ``parts`` and ``groups`` int64[n] say where each
    is. The rows of a row group of which not all are selected are kept, 8 bytes each.
    """

    def __init__(self) -> None:
        self._parts: list[int] = []
        self._groups: list[int] = []
        self._sizes: list[int] = []
        self._rows: dict[int, Rows] = {}
        self.parts = self.groups = self._ends = np.zeros(0, np.int64)

    def add(self, part: int, group: int, size: int, rows: Rows | None) -> None:
        """Adds a row group of ``size`` rows, of which ``rows`` are selected; None selects all."""
        if rows is not None and len(rows) < size:
            if not len(rows):
                return
            self._rows[len(self._sizes)] = rows
            size = len(rows)
        self._parts.append(part)
        self._groups.append(group)
        self._sizes.append(size)

    def finish(self) -> Selection:
        """Completes the selection after the last row group."""
        self.parts, self.groups = np.array(self._parts, np.int64), np.array(self._groups, np.int64)
        self._ends = np.cumsum(np.array(self._sizes, np.int64))
        self._parts, self._groups, self._sizes = [], [], []
        return self

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def size_of(self, number: int) -> int:
        """Returns the number of selected rows of a row group."""
        return int(self._ends[number]) - self._start_of(number)

    def rows_of(self, number: int) -> Rows | None:
        """Returns the selected rows of a row group; None means all."""
        return self._rows.get(number)

    def place(self, index: int) -> tuple[int, int]:
        """Returns (row group, number among its selected rows) of a picture. Raises ``IndexError``."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index (={index}) is out of range: there are {len(self)} pictures")
        index %= len(self)
        number = int(np.searchsorted(self._ends, index, "right"))
        return number, index - self._start_of(number)

    def shuffled(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Returns the row groups in random order, those of one part after each other."""
        within = random.permutation(len(self._ends))
        if not len(self._ends):
            return within
        rank_of_part = random.permutation(int(self.parts[-1]) + 1)
        return np.lexsort((within, rank_of_part[self.parts]))

    def _start_of(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0


def select(archive: Archive, filters: Filters | None, *, latents: bool) -> Selection:
    """Returns the pictures for which ``filters`` hold; with ``latents`` only those that have some.

    Without filters no rows are read, but with ``latents`` the footers of parts are, and the rows of those
    row groups that have pictures without a payload. Raises ``ValueError`` for wrong filters,
    :class:`FormatError` and :class:`SourceError`.
    """
    selection = Selection()
    names, expression = _parsed(filters)
    for number, record in enumerate(archive.records):
        if expression is None and not latents:
            for group, size in enumerate(record.groups):
                selection.add(number, group, size, None)
        else:
            _scan(archive, number, (filters, names, expression), latents, selection)
    return selection.finish()


def _scan(
    archive: Archive,
    number: int,
    parsed: tuple[Filters | None, list[str], Any],
    latents: bool,
    selection: Selection,
) -> None:
    """Adds the selected rows of part ``number``."""
    record, (filters, names, expression) = archive.records[number], parsed
    with archive.opened(record) as part:
        sha256_column = part.schema_arrow.names.index("payload_sha256")
        for group, size in enumerate(record.groups):
            statistics = part.metadata.row_group(group).column(sha256_column).statistics
            every_payload = statistics is not None and statistics.null_count == 0
            if expression is None and every_payload:
                selection.add(number, group, size, None)
                continue
            columns = [*names, *(name for name in _REFERENCES if latents and name not in names)]
            table = _table(part, group, columns, record.name)
            if expression is not None:
                try:
                    table = table.filter(expression)
                except (arrow().ArrowInvalid, arrow().ArrowNotImplementedError) as error:
                    reason = str(error).splitlines()[0]
                    raise ValueError(f"filters (={filters!r}) do not fit the columns: {reason}") from error
            rows = np.asarray(table[_ROW])
            if latents and not every_payload:
                references = table.select(_REFERENCES).to_pylist()
                has = [archive.resolved(row)["payload_sha256"] is not None for row in references]
                rows = rows[np.array(has, bool)]
            selection.add(number, group, size, rows)


def _table(part: Any, group: int, columns: list[str], name: str) -> Any:
    """Returns columns of a row group, and the numbers of its rows."""
    try:
        table = part.read_row_group(group, columns=columns)
    except Exception as error:  # pyarrow raises exceptions of many types for damaged files.
        raise FormatError(f"{name} is damaged: {str(error).splitlines()[0]}") from error
    return table.append_column(_ROW, arrow().array(np.arange(table.num_rows)))


def _parsed(filters: Filters | None) -> tuple[list[str], Any]:
    """Returns (the columns that filters name, their pyarrow expression). Raises ``ValueError``."""
    if filters is None:
        return [], None
    to_expression = parquet().filters_to_expression
    try:
        expression = to_expression(filters)
        conditions = [
            part for clause in filters for part in ([clause] if isinstance(clause, tuple) else clause)
        ]
        return list(dict.fromkeys(str(condition[0]) for condition in conditions)), expression
    except Exception as error:
        raise ValueError(
            f"filters (={filters!r}) must be conditions such as [('width', '>=', 512)]: {error}"
        ) from error
