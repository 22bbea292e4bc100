"""Verification of parts: every checksum, and the latents of every payload."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from calotype.archive.extras import parquet
from calotype.archive.schema import PICTURES, Row, check_version, schema_of
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.errors import CalotypeError, ChecksumError, FormatError
from calotype.limits import ANY_SIZE

__all__ = ["check_part", "check_row", "groups_of", "open_part", "problems_of"]


def open_part(file: Any, name: str) -> Any:
    """Returns a part as a ``pyarrow.parquet.ParquetFile``.

    Raises :class:`FormatError` if it is damaged, and :class:`UnsupportedError` if it is of a newer version.
    """
    try:
        part = parquet().ParquetFile(file)
        schema = part.schema_arrow
    except CalotypeError:
        raise
    except Exception as error:  # pyarrow raises exceptions of many types for damaged files.
        raise FormatError(f"{name} is damaged: {_first_line(error)}") from error
    check_version(schema.metadata or {}, name)
    if not schema.equals(schema_of(PICTURES)):
        raise FormatError(f"{name} does not have the columns of an archive's part")
    return part


def groups_of(part: Any, name: str, columns: list[str] | None = None) -> Iterator[list[Row]]:
    """Yields the rows of each row group. Raises :class:`FormatError`."""
    for number in range(part.num_row_groups):
        try:
            rows = part.read_row_group(number, columns=columns).to_pylist()
        except Exception as error:
            raise FormatError(f"{name} is damaged: {_first_line(error)}") from error
        yield rows


def check_row(row: Row, *, decode: bool) -> None:
    """Checks the content of a row: its checksum, and with ``decode`` that its payload decodes to its latents.

    Raises :class:`FormatError`, mostly :class:`ChecksumError`.
    """
    if [row[name] is not None for name in ("payload", "original", "duplicate_of")].count(True) != 1:
        raise FormatError(f"picture {row['id']} must have one of payload, original and duplicate_of")
    if (payload := row["payload"]) is not None:
        if (
            hashlib.sha256(payload).hexdigest() != row["payload_sha256"]
            or len(payload) != row["payload_bytes"]
        ):
            raise ChecksumError(f"picture {row['id']} is damaged: its payload does not match its SHA-256")
        if decode:
            try:
                decode_latents(parse_file(payload, limits=ANY_SIZE, strict=True))
            except CalotypeError as error:
                raise ChecksumError(f"picture {row['id']} is damaged: {error}") from error
    original = row["original"]
    if original is not None and hashlib.sha256(original).hexdigest() != row["source_sha256"]:
        raise ChecksumError(f"picture {row['id']} is damaged: its original does not match its SHA-256")


def check_part(file: Any, name: str, *, decode: bool) -> str:
    """Checks a whole part, which is closed at the end; returns its SHA-256.

    Raises :class:`FormatError` for the first problem.
    """
    with file:
        for problem in problems_of(file, name, decode=decode):
            raise problem
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def problems_of(file: Any, name: str, *, decode: bool) -> Iterator[FormatError]:
    """Yields each problem of a part."""
    try:
        for rows in groups_of(open_part(file, name), name):
            for row in rows:
                try:
                    check_row(row, decode=decode)
                except FormatError as error:
                    yield error
    except FormatError as error:
        yield error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
