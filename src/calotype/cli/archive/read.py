"""``calotype archive list``, ``get``, ``extract``, ``verify`` and ``stats``."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import click

from calotype.archive import Archive
from calotype.archive.schema import Row
from calotype.cli.common import out_option, talk_options
from calotype.cli.console import Console
from calotype.cli.files import write_target
from calotype.cli.paths import PathType
from calotype.container import EXTENSION
from calotype.errors import CalotypeError, OutputError

__all__ = ["extract", "file_name", "get", "list_", "stats", "verify"]

_force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")
_archive_argument = click.argument("address", metavar="ARCHIVE", type=PathType())


@click.command("list", short_help="List the pictures of an archive, or its errors.")
@_archive_argument
@click.option("--errors", is_flag=True, help="List the pictures that failed, and why.")
@talk_options
@click.pass_obj
def list_(console: Console, address: str, errors: bool) -> int:
    """List the pictures of an archive, or its errors; payloads are not read.

    With --json a line has every column but payload, original and thumbnail.
    """
    with Archive(address) as archive:
        if errors:
            for row in archive.errors():
                _print(console, row, f"{row['uri']}: {row['reason']} ({row['attempts']} attempts)")
            return 0
        for row in archive.rows(archive.metadata_columns):
            kind = "duplicate" if row["duplicate_of"] else f"{row['payload_bytes']:,} bytes"
            if row["payload_sha256"] is None and not row["duplicate_of"]:
                kind = f"original, {row['source_bytes']:,} bytes"
            _print(console, row, f"{row['id']}  {row['width']}x{row['height']}  {kind}  {row['name']}")
    return 0


@click.command(short_help="Write one picture of an archive to a file.")
@_archive_argument
@click.argument("picture", metavar="ID|NAME")
@click.argument("out", metavar="OUT", type=PathType(stdio=True))
@_force_option
@talk_options
@click.pass_obj
def get(console: Console, address: str, picture: str, out: str, force: bool) -> int:
    """Write one picture of an archive, found by its id or name, to the file OUT, or to standard output (-).

    The file is the .calo file of the picture, or its original where that was kept. Only the row group that
    holds the picture is read.
    """
    with Archive(address) as archive:
        row = archive.get(picture)
    data = row["payload"] or row["original"]
    try:
        write_target(out, data, force=force)
    except OutputError as error:
        raise OutputError(f"{out} {error}") from error
    kind = "" if row["payload"] else ", the original"
    console.note(f"{row['name']} ({row['id']}) -> {out}: {len(data):,} bytes{kind}")
    console.record({"output": out, "ok": True, **_plain(row)})
    return 0


@click.command(short_help="Write pictures of an archive into a folder, as .calo files.")
@_archive_argument
@click.argument("patterns", metavar="[ID|NAME|PATTERN]...", nargs=-1)
@out_option("FOLDER")
@_force_option
@talk_options
@click.pass_obj
def extract(console: Console, address: str, patterns: Sequence[str], out: Path, force: bool) -> int:
    """Write pictures of an archive into a folder: all, or those whose id or name is given or matches a
    pattern.

    Files have the names of the pictures with the ending .calo; kept originals keep their own. Folders within
    names are made. Of pictures with one name all but the first get their id into the name.
    """
    code, taken, written = 0, set[str](), 0
    with Archive(address) as archive:
        scan = not patterns or any(map(_is_pattern, patterns))
        for found in archive.rows() if scan else _named(archive, patterns):
            if patterns and not any(_matches(found, pattern) for pattern in patterns):
                continue
            row = archive.resolved(found)
            target = out / file_name(row, EXTENSION if row["payload"] else None, taken)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                write_target(str(target), row["payload"] or row["original"], force=force)
                written += 1
            except (OutputError, OSError) as error:
                code = max(code, console.failure(_as_output(error), str(target)))
    console.note(f"{written:,} files in {out}")
    return code


@click.command(short_help="Check every checksum of an archive, and decode every latent.")
@_archive_argument
@talk_options
@click.pass_obj
def verify(console: Console, address: str) -> int:
    """Check every part of an archive: its SHA-256 and those of its pictures, and that each decodes to its
    latents.

    The exit code is 3 if anything is damaged; every problem is a line.
    """
    code, problems = 0, 0
    with Archive(address) as archive, console.progress(len(archive.records)) as step:
        for problem in archive.verify():
            if problem is None:
                step()
                continue
            problems += 1
            code = max(code, console.failure(problem))
        pictures, parts = len(archive), len(archive.records)
    console.note(f"{pictures:,} pictures in {parts:,} parts: {problems or 'no'} problems")
    console.record({"archive": address, "ok": not problems, "pictures": pictures, "problems": problems})
    return code


@click.command(short_help="Show figures of an archive.")
@_archive_argument
@talk_options
@click.pass_obj
def stats(console: Console, address: str) -> int:
    """Show figures of an archive: pictures, bytes, ratio, models, means of scores, errors."""
    with Archive(address) as archive:
        figures = archive.stats()
    console.record(figures)
    if not console.json:
        for name, value in figures.items():
            console.result(f"{name.replace('_', ' '):<16}{_number(value)}")
    return 0


def file_name(row: Row, extension: str | None, taken: set[str]) -> str:
    """Returns a file name for a picture, within the folder and unlike those ``taken``, to which it is added.

    ``extension`` takes the place of the picture's own; None keeps that.
    """
    name = PurePosixPath(row["name"].replace("\\", "/"))
    parts = [part.replace(":", "_").replace("\0", "_") for part in name.parts if part not in ("/", "..", ".")]
    path = PurePosixPath(*parts or (row["id"],))
    if extension is not None:
        path = path.with_suffix(extension)
    if str(path).lower() in taken:
        path = path.with_name(f"{path.stem}-{row['id']}{path.suffix}")
    taken.add(str(path).lower())
    return str(path)


def _named(archive: Archive, names: Sequence[str]) -> list[Row]:
    """Returns the rows of these ids and names; raises :class:`SourceError` if there is none of one."""
    return [row for name in names for row in archive.find(name) or [archive.get(name)]]


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _matches(row: Row, pattern: str) -> bool:
    return pattern == row["id"] or fnmatchcase(row["name"], pattern) or pattern == row["name"]


def _as_output(error: Exception) -> CalotypeError:
    if isinstance(error, CalotypeError):
        return error
    return OutputError(f"cannot be written ({getattr(error, 'strerror', None) or error})")


def _plain(row: Row) -> Row:
    return {name: value for name, value in row.items() if not isinstance(value, bytes)}


def _print(console: Console, row: Row, text: str) -> None:
    if console.json:
        console.record(row)
    else:
        console.result(text)


def _number(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_number(number)}" for name, number in value.items()) or "-"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
