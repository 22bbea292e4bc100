"""The command line: ``calotype encode``, ``decode``, ``info``, ``models`` and the other commands.

::

    arguments ─ plan ─ jobs ─ batch ─┬─ encode, decode    make the bytes, on one or several threads
                                     └─ files             writes them in the main thread, all or nothing

Standard output carries results (a picture, a file, JSON); everything else goes to standard
error through one :class:`~calotype.cli.console.Console`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

import calotype
from calotype.cli.console import Console
from calotype.cli.files import abandon_stdout
from calotype.errors import CalotypeError

__all__ = ["cli", "main"]

INTERRUPTED = 130

_EPILOG = """\b
Exit codes:
  0  every input was processed
  1  an error: a picture cannot be read, a file cannot be written ...
  2  the command line is wrong
  3  a file is corrupt or not a Calotype file
  4  a limit would be exceeded (see --max-pixels), or there is not enough memory
  5  a model, or a package it needs, is missing
130  interrupted; nothing is left half-written
With several inputs, one that fails does not stop the others; the code is the highest of theirs.

Completion: put the output of 'calotype completion bash' (or zsh, fish) into your shell's start-up file.
"""


_MODULES = {
    "archive": "archive",
    "bench": "bench",
    "compare": "compare",
    "completion": "completion",
    "decode": "decode",
    "encode": "encode",
    "experiment": "experiment",
    "gallery": "gallery",
    "info": "info",
    "latents": "latents",
    "models": "models",
    "packets": "packets",
    "serve": "serve",
    "stages": "compare",
    "verify": "verify",
}
"""The commands, and the module of this package that defines each of them."""


class _Commands(click.Group):
    """Imports the module of a command when the command is needed, so that each command starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f"calotype.cli.{_MODULES[cmd_name]}"), cmd_name)
        return command


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    calotype.__version__, "-V", "--version", prog_name="calotype", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Store photographs in a few kilobytes: encode them to .calo files, and decode these to pictures."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line on ``args`` (default: those of the process) and return its exit code.

    An interrupt ends the process with code 130.
    """
    console = Console()
    try:
        with console.warnings_shown():
            code: Any = cli.main(args, prog_name="calotype", standalone_mode=False, obj=console)
        return int(code or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "calotype"
        console.error(f"{error.format_message().rstrip('.')} (see '{command} --help')")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        console.error("interrupted")
        os._exit(INTERRUPTED)  # A plain exit would wait for the pictures on which other threads still work.
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, CalotypeError):  # from printing
            abandon_stdout()
        return console.failure(error)
