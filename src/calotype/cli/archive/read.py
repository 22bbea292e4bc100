"""``calotype archive list``, ``get``, ``verify`` and ``stats``."""

from __future__ import annotations

from typing import Any

import click

from calotype.archive import Archive
from calotype.archive.schema import Row
from calotype.cli.archive.options import archive_argument, force_option
from calotype.cli.common import talk_options
from calotype.cli.console import Console
from calotype.cli.files import write_target
from calotype.cli.paths import PathType
from calotype.errors import OutputError

__all__ = ["get", "list_", "stats", "verify"]


@click.command("list", short_help="List the pictures of an archive, or its errors.")
@archive_argument
@click.option("--errors", is_flag=True, help="List the pictures that failed, and why.")
@talk_options
@click.pass_obj
def list_(console: Console, address: str, errors: bool) -> int:
    """List the pictures of an archive, or its errors; payloads are not read.

    With --json a line has every column except payload, original and thumbnail.
    """
    with Archive(address) as archive:
        if errors:
            for row in archive.errors():
                _print_row(console, row, f"{row['uri']}: {row['reason']} ({row['attempts']} attempts)")
            return 0
        for row in archive.rows(archive.metadata_columns):
            kind = "duplicate" if row["duplicate_of"] else f"{row['payload_bytes']:,} bytes"
            if row["payload_sha256"] is None and not row["duplicate_of"]:
                kind = f"original, {row['source_bytes']:,} bytes"
            _print_row(console, row, f"{row['id']}  {row['width']}x{row['height']}  {kind}  {row['name']}")
    return 0


@click.command(short_help="Write one picture of an archive to a file.")
@archive_argument
@click.argument("picture", metavar="ID|NAME")
@click.argument("out", metavar="OUT", type=PathType(stdio=True))
@force_option
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
    console.record({"output": out, "ok": True, **_without_bytes(row)})
    return 0


@click.command(short_help="Check every checksum of an archive, and decode every latent.")
@archive_argument
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
@archive_argument
@talk_options
@click.pass_obj
def stats(console: Console, address: str) -> int:
    """Show figures of an archive: pictures, bytes, ratio, models, means of scores, errors."""
    with Archive(address) as archive:
        figures = archive.stats()
    console.record(figures)
    if not console.json:
        for name, value in figures.items():
            console.result(f"{name.replace('_', ' '):<16}{_format_number(value)}")
    return 0


def _without_bytes(row: Row) -> Row:
    return {name: value for name, value in row.items() if not isinstance(value, bytes)}


def _print_row(console: Console, row: Row, text: str) -> None:
    if console.json:
        console.record(row)
    else:
        console.result(text)


def _format_number(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_format_number(number)}" for name, number in value.items()) or "-"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
