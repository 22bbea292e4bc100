"""Manifests: lists of pictures in a CSV or Parquet file, or one address a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from calotype.archive.extras import parquet
from calotype.archive.sources.item import (
    Item,
    Problem,
    is_url,
    last_name,
    location_of,
    opened,
    reason_of,
    shown,
)
from calotype.errors import SourceError

__all__ = ["is_manifest", "scan_manifest"]

_TEXT = (".txt", ".lst")
_COLUMNS = ("uri", "url", "path", "file", "image_url", "filename")
"""The possible names of the column of addresses; the first that the file has is used."""

_BATCH = 1024


def is_manifest(name: str) -> bool:
    """Returns whether a path or URL is named like a manifest."""
    return name.lower().endswith((".csv", ".tsv", ".parquet", *_TEXT))


def scan_manifest(location: str) -> Iterator[Item | Problem]:
    """Yields the pictures that a manifest lists.

    A CSV or Parquet file has a column ``uri`` (or one of ``url``, ``path``, ``file``, ``image_url`` and
    ``filename``), and may have a column ``name``. A text file has one address a line; empty lines and lines
    that begin with ``#`` are left out. Relative paths start at the manifest's folder.
    """
    source = shown(location)
    try:
        for number, (uri, name) in enumerate(_manifest_entries(location), 1):
            if not uri:
                yield Problem(f"{source}#{number}", f"{number}", source, f"entry {number} has no address")
                continue
            place = location_of(uri)
            if not is_url(place):
                place = (
                    str(_manifest_folder(location) / place)
                    if not is_url(location)
                    else f"{_parent_of_url(location)}/{place}"
                )
            yield Item(uri, name or last_name(uri), source, place)
    except SourceError as error:
        yield Problem(source, last_name(source), source, str(error))
    except Exception as error:  # The exceptions come from file systems, pyarrow and decoders of text.
        reason = f"cannot be read to its end ({reason_of(error)})"
        yield Problem(source, last_name(source), source, reason)


def _manifest_entries(location: str) -> Iterator[tuple[str, str]]:
    """Yields (address, name) of each entry; the name is empty if there is none."""
    lower = location.lower()
    with opened(location) as file:
        if lower.endswith(".parquet"):
            table = parquet().ParquetFile(file)
            column = _address_column(table.schema_arrow.names)
            columns = [column] + ["name"] * ("name" in table.schema_arrow.names)
            for batch in table.iter_batches(_BATCH, columns=columns):
                for row in batch.to_pylist():
                    yield str(row[column] or ""), str(row.get("name") or "")
            return
        text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        if lower.endswith(_TEXT):
            for line in text:
                if line.strip() and not line.startswith("#"):
                    yield line.rstrip("\r\n"), ""
            return
        rows = csv.DictReader(text, delimiter="\t" if lower.endswith(".tsv") else ",")
        column = _address_column(list(rows.fieldnames or ()))
        for entry in rows:
            yield entry[column] or "", entry.get("name") or ""


def _address_column(names: list[str]) -> str:
    for name in _COLUMNS:
        if name in names:
            return name
    raise SourceError(f"has no column of addresses: name one of {', '.join(names)} 'uri'")


def _manifest_folder(location: str) -> Path:
    return Path(location).parent


def _parent_of_url(url: str) -> str:
    return url.rpartition("/")[0]
