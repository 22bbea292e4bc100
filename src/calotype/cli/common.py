"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from calotype.cli.console import Console
from calotype.cli.paths import PathType
from calotype.limits import Limits
from calotype.models import model_names
from calotype.options import BACKENDS, DEFAULT_BACKEND

__all__ = [
    "backend_option",
    "batch_option",
    "batch_options",
    "count_option",
    "file_arguments",
    "flags",
    "is_given",
    "jobs_option",
    "json_option",
    "limits_of",
    "max_pixels_option",
    "model_option",
    "out_option",
    "talk_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])


def _store_in_console(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        setattr(ctx.ensure_object(Console), name, value)

    return callback


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_store_in_console("json"),
    help="Print one JSON object per line on standard output.",
)


def count_option(*names: str, default: int, help: str, least: int = 1) -> Callable[[Command], Command]:
    """Returns an option that takes a whole number of at least ``least``."""
    return click.option(
        *names, metavar="N", type=click.IntRange(min=least), default=default, show_default=True, help=help
    )


max_pixels_option = count_option(
    "--max-pixels", default=Limits.max_pixels, help="Refuse pictures with more pixels than this."
)

jobs_option = count_option("-j", "--jobs", default=1, help="Number of pictures to process at once.")


backend_option = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default=DEFAULT_BACKEND,
    show_default=True,
    help="The runtime of the embedded networks. OpenVINO needs 'calotype[openvino]'; bf16 is the fastest.",
)


batch_option = count_option(
    "--batch",
    default=1,
    help="Stable Diffusion: number of pictures of equal size that pass the networks together.",
)


def limits_of(max_pixels: int) -> Limits:
    """Returns the default limits with another number of pixels."""
    return replace(Limits(), max_pixels=max_pixels)


def file_arguments(command: Command) -> Command:
    """Adds the arguments ``IN... OUT`` as ``paths``, and the option ``--out-dir``."""
    for decorate in (
        click.option(
            "-o",
            "--out-dir",
            metavar="FOLDER",
            type=PathType(folder=True),
            help="Write the outputs into this folder, created if needed; every argument is then an input.",
        ),
        click.argument("paths", nargs=-1, required=True, metavar="IN... OUT", type=PathType(stdio=True)),
    ):
        command = decorate(command)
    return command


def is_given(name: str) -> bool:
    """Returns whether the user gave this parameter of the current command, even with its default value."""
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def flags(names: Iterable[str]) -> str:
    """Returns parameters as they are written on the command line, joined for a sentence."""
    return " and ".join("--" + name.replace("_", "-") for name in names)


def out_option(metavar: str) -> Callable[[Command], Command]:
    """Returns the option ``--out``, the folder that a command creates."""
    return click.option(
        "-o",
        "--out",
        metavar=metavar,
        required=True,
        type=PathType(folder=True, path_type=Path),
        help="The output folder.",
    )


def model_option(
    help: str, *, default: str | None = None, shown: str | bool = True
) -> Callable[[Command], Command]:
    """Returns the option ``--model``, completed with the names of the models.

    ``shown`` describes the default in the help, if it is not a name.
    """

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in model_names() if name.startswith(incomplete)]

    return click.option(
        "-m",
        "--model",
        metavar="NAME",
        default=default,
        show_default=shown,
        shell_complete=complete,
        help=help,
    )


def talk_options(command: Command) -> Command:
    """Adds the options for output: ``--json``, ``--quiet``, ``--verbose``."""
    for decorate in (
        json_option,
        click.option(
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_store_in_console("quiet"),
            help="Print errors only.",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_store_in_console("verbosity"),
            help="Print more about each file; given twice, print tracebacks of errors.",
        ),
    ):
        command = decorate(command)
    return command


def batch_options(command: Command) -> Command:
    """Adds the options of every command that writes files."""
    for decorate in (
        talk_options,
        jobs_option,
        batch_option,
        max_pixels_option,
        click.option("-f", "--force", is_flag=True, help="Overwrite existing files."),
    ):
        command = decorate(command)
    return command
