"""``calotype info``."""

from __future__ import annotations

from collections.abc import Sequence

import click

import calotype
from calotype.cli.common import json_option, limits_of, max_pixels_option
from calotype.cli.console import Console
from calotype.cli.files import STDIO, read_calotype
from calotype.cli.paths import PathType
from calotype.container import ParsedFile, parse_file
from calotype.info import describe_file

__all__ = ["info"]


@click.command(short_help="Show header and chunks of .calo files, without decoding them.")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=PathType(stdio=True))
@click.option(
    "--partial",
    is_flag=True,
    help="Describe truncated files too: the part that is there, and the bytes that a first picture needs.",
)
@max_pixels_option
@json_option
@click.pass_obj
def info(console: Console, paths: Sequence[str], partial: bool, max_pixels: int) -> int:
    """Show header and chunks of .calo files, without decoding them.

    Nothing is verified. With --partial the base grid of the latents is decoded, a 64th of them. '-' is
    standard input.
    """
    limits = limits_of(max_pixels)
    code = 0
    for path in paths:
        name = "standard input" if path == STDIO else path
        try:
            parsed = parse_file(read_calotype(path, limits), limits=limits, partial=partial)
            file_info = describe_file(parsed)
        except calotype.CalotypeError as error:
            failed = console.failure(error, name)
            console.record({"file": path, "ok": False, "error": str(error), "exit_code": failed})
            code = max(code, failed)
            continue
        first = {"first_picture_size": _first_picture_size(parsed)} if partial else {}
        if console.json:
            console.record({"file": path, "ok": True, **file_info.as_dict(), **first})
        else:
            console.result(_info_text(name, file_info, **first))
    return code


def _first_picture_size(parsed: ParsedFile) -> int | None:
    """Returns :func:`first_picture_size`; None also for a file that cannot be decoded."""
    # This loads numpy, which takes longer than all the rest.
    from calotype.decoding import first_picture_size

    try:
        return first_picture_size(parsed)
    except calotype.CalotypeError:
        return None


def _info_text(name: str, file_info: calotype.Info, first_picture_size: int | None = None) -> str:
    coded = f", coded as {file_info.coded_width}x{file_info.coded_height}" if file_info.scaled else ""
    rows = [
        ("picture", f"{file_info.width}x{file_info.height} {file_info.mode}{coded}"),
        ("file", _size_text(file_info)),
        ("latents", f"{file_info.payload_size:,} bytes, level {file_info.level} (step {file_info.step:.3f})"),
        ("coding", f"{file_info.coding}, space {file_info.space}, context model {file_info.context_model}"),
        ("encoder", file_info.encoder),
    ]
    if first_picture_size is None and file_info.missing:
        rows.append(("preview", "a first picture needs more bytes"))
    if first_picture_size is not None:
        rows.append(("preview", f"a first picture after {first_picture_size:,} bytes"))
    if file_info.fidelity is not None:
        record = file_info.fidelity
        rows.append(("fidelity", f"invention {record.invention:.2f}, loss {record.loss:.2f}"))
    for chunk in file_info.chunks:
        remarks = ", critical" * chunk.critical + ", damaged" * (not chunk.intact)
        rows.append(("chunk", f"{chunk.name}, {chunk.size:,} bytes{remarks}"))
    lines = [f"{name}: Calotype, format version {file_info.format_version}"]
    return "\n".join(lines + [f"  {label:<9}{value}" for label, value in rows])


def _size_text(file_info: calotype.Info) -> str:
    """Returns the size of the file, or which part of it has arrived, rounded down to a per cent."""
    if not file_info.missing:
        return f"{file_info.file_size:,} bytes, {file_info.bpp:.3f} bpp"
    size = file_info.file_size + file_info.missing
    percent = 100 * file_info.file_size // size
    return f"the first {file_info.file_size:,} of at least {size:,} bytes ({percent} %)"
