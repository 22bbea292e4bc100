"""Options that several commands of archives share."""

from __future__ import annotations

import click

from calotype.archive import Settings
from calotype.archive.engines.encoder import SCORES
from calotype.cli.common import Command
from calotype.cli.paths import PathType
from calotype.cli.sizes import read_size

__all__ = ["archive_argument", "force_option", "measuring_options", "part_size_option", "workers_option"]

force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")

archive_argument = click.argument("address", metavar="ARCHIVE", type=PathType())

workers_option = click.option(
    "-j",
    "--jobs",
    "workers",
    metavar="N",
    type=click.IntRange(min=1),
    show_default="one for each core",
    help="Number of worker processes.",
)


part_size_option = click.option(
    "--part-size",
    metavar="BYTES",
    callback=read_size,
    default=str(Settings.part_size),
    show_default="32MB",
    help="Close a part when its pictures have this many bytes; it is also closed after 10,000 pictures and"
    " after 10 minutes.",
)


def _read_scores(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in SCORES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(SCORES)}")
    return names


def measuring_options(command: Command) -> Command:
    """Adds ``--scores``, ``--keep-originals-over`` and ``--thumbnail``."""
    for decorate in (
        click.option(
            "--thumbnail",
            metavar="SIDE",
            type=click.IntRange(min=1),
            help="Store a JPEG of at most this side in pixels.",
        ),
        click.option(
            "--keep-originals-over",
            metavar="SCORE",
            type=click.FloatRange(min=0),
            help="Decode each picture, and keep the original bytes of those whose root-mean-square error, in"
            " units of 1/255, is above this.",
        ),
        click.option(
            "--scores",
            metavar="NAME,...",
            callback=_read_scores,
            default="",
            help=f"Decode each picture and store these scores, of {', '.join(SCORES)}.",
        ),
    ):
        command = decorate(command)
    return command
