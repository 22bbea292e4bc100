"""Writes docs/cli.md from the command line's own help; with ``--check`` only reports whether it is out of
date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from calotype.cli import cli

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 88

INTRODUCTION = """\
# The command line

<!-- Written by scripts/cli_reference.py from the commands' own help: change that, not this page. -->

    calotype encode photo.jpg photo.calo
    calotype decode photo.calo photo.png
    calotype info photo.calo

* **Inputs and outputs.** One input and one output, or, as with `cp`, several inputs and a folder as the
  last argument: one that exists, or a name that ends with a slash. With `--out-dir` every argument is an
  input. Inputs that would become the same file (`a.jpg` and `a.png`) are refused before any work begins.
* **Pipes.** `-` is standard input or standard output (a file of that name is `./-`). A picture decoded to a
  pipe is a PNG unless `--format` says otherwise.
* **Nothing is overwritten** without `--force`. A file appears under its name when it is complete or not at
  all; devices and pipes are written to directly.
* **Messages.** Standard output carries pictures, files and JSON only. On standard error there is a line
  for each file (`-v`: a longer one), warnings and errors, each one sentence after `calotype: warning:` or
  `calotype: error:`, and with several inputs on a terminal a progress bar. `--quiet` leaves the errors;
  `-vv` adds tracebacks.
* **JSON.** `--json` prints one object per line and per file, in the order of the inputs. `ok` says whether
  it succeeded; failures have `error` and `exit_code`. Sizes are in bytes, times in seconds, `bpp` is bits
  per pixel of the whole file.
* **Metadata** is dropped by `encode` unless `--keep-metadata` is given: EXIF may tell where a picture was
  taken. `decode` attaches what the file holds; PNG, TIFF, WebP, JPEG and AVIF can take it.
"""


def reference() -> str:
    """Returns the page: an introduction, then the help of every command."""
    root = click.Context(cli, info_name="calotype", terminal_width=WIDTH, **cli.context_settings)
    return "\n".join([INTRODUCTION, *_sections(root)])


def _sections(context: click.Context) -> list[str]:
    """Returns the help of a command and of its subcommands."""
    parts = [_section(context.command_path, context.command.get_help(context))]
    if isinstance(context.command, click.Group):
        for name in sorted(context.command.list_commands(context)):
            command = context.command.get_command(context, name)
            if command is None:
                raise LookupError(name)
            parts += _sections(click.Context(command, info_name=name, parent=context))
    return parts


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n"


def _words(text: str) -> list[str]:
    """Returns the words of the page: line breaks and brackets around COMMAND depend on click's version."""
    return text.replace("[COMMAND]", "COMMAND").split()


def main(arguments: list[str]) -> int:
    page = reference()
    if arguments == ["--check"]:
        current = PAGE.is_file() and _words(PAGE.read_text("utf-8")) == _words(page)
        if not current:
            print(f"{PAGE} is out of date: run scripts/cli_reference.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
