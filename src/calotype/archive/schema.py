"""The columns of an archive's tables, and the version of the layout.

``docs/archive.md`` describes the same columns; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calotype.archive.extras import arrow
from calotype.errors import FormatError, UnsupportedError

__all__ = ["ERRORS", "PICTURES", "VERSION", "Column", "Row", "check_version", "picture_bytes", "schema_of"]

VERSION = 1
"""The version of the layout and of the tables. A reader refuses a newer one."""

_VERSION_KEY = b"calotype.archive.version"

Row = dict[str, Any]
"""One row of a table, by the names of its columns."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its Arrow type, and whether it may be null."""

    name: str
    type: str
    nullable: bool = False


PICTURES = (
    Column("id", "string"),
    Column("name", "string"),
    Column("uri", "string"),
    Column("width", "int32"),
    Column("height", "int32"),
    Column("source_bytes", "int64"),
    Column("source_sha256", "string"),
    Column("payload", "binary", True),
    Column("payload_bytes", "int64"),
    Column("payload_sha256", "string", True),
    Column("original", "binary", True),
    Column("duplicate_of", "string", True),
    Column("quality", "float64", True),
    Column("target_size", "int64", True),
    Column("bpp", "float64", True),
    Column("level", "int32", True),
    Column("coded_width", "int32", True),
    Column("coded_height", "int32", True),
    Column("model", "string", True),
    Column("context_model", "int32", True),
    Column("format_version", "int32", True),
    Column("seconds", "float64"),
    Column("psnr", "float64", True),
    Column("ssimulacra2", "float64", True),
    Column("thumbnail", "binary", True),
    Column("warnings", "string", True),
    Column("software", "string"),
)
"""The columns of a part."""

ERRORS = (
    Column("id", "string"),
    Column("name", "string"),
    Column("uri", "string"),
    Column("source", "string"),
    Column("kind", "string"),
    Column("reason", "string"),
    Column("attempts", "int32"),
    Column("time", "string"),
)
"""The columns of the errors table."""


def picture_bytes(row: Row) -> int:
    """Returns the number of bytes that a row stores of its picture: payload, original and thumbnail."""
    return sum(len(row[name] or b"") for name in ("payload", "original", "thumbnail"))


def schema_of(columns: tuple[Column, ...]) -> Any:
    """Returns the ``pyarrow.Schema`` of a table, with the version in its metadata."""
    pa = arrow()
    fields = [pa.field(c.name, pa.type_for_alias(c.type), nullable=c.nullable) for c in columns]
    return pa.schema(fields, metadata={_VERSION_KEY: str(VERSION).encode()})


def check_version(stored: Any, name: str) -> None:
    """Checks that ``stored``, a version or the metadata of a table, is one that this release reads.

    Raises :class:`UnsupportedError` for a newer version, and :class:`FormatError` for an invalid one.
    """
    if isinstance(stored, dict):
        stored = stored.get(_VERSION_KEY, b"").decode("ascii", "replace")
    try:
        version = int(stored)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{name} is not part of a Calotype archive") from error
    if version > VERSION:
        raise UnsupportedError(
            f"{name} has version {version} of the archive layout, but this release reads {VERSION}:"
            " update calotype"
        )
    if version < 1:
        raise FormatError(f"{name} has the impossible version {version} of the archive layout")
