"""An empty path is refused by every command, for it would mean the current folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_samples import Refused

from calotype.cli import cli
from calotype.cli.paths import PathType

# What else a command must be given; "X" stands for the path.
COMMANDS = {
    "encode": ["encode", "photo.png", "x.calo"],
    "decode": ["decode", "photo.png", "x.png"],
    "info": ["info"],
    "compare": ["compare", "photo.png", "--out", "r"],
    "stages": ["stages", "photo.png", "--out", "s"],
    "bench": ["bench", ".", "--out", "b"],
    "experiment palette": ["experiment", "palette", "photo.png", "--out", "e"],
    "models verify": ["models", "verify", "taesd"],
    "packets split": ["packets", "split", "photo.png", "x.packets"],
    "gallery": ["gallery", "photo.png", "--out", "g"],
    "latents export": ["latents", "export", "photo.png"],
    "latents import": ["latents", "import", "photo.png"],
    "verify": ["verify", "photo.png", "photo.calo"],
    "archive plan": ["archive", "plan", "."],
    "archive create": ["archive", "create", ".", "a"],
    "archive list": ["archive", "list", "a"],
    "archive get": ["archive", "get", "a", "photo.png", "x.calo"],
    "archive extract": ["archive", "extract", "a", "--out", "e"],
    "archive export": ["archive", "export", "a", "e"],
    "archive verify": ["archive", "verify", "a"],
    "archive stats": ["archive", "stats", "a"],
    "packets join": ["packets", "join", "photo.png", "x.calo"],
}


def path_parameters(command: click.Command = cli, name: str = "") -> Iterator[tuple[str, click.Parameter]]:
    """Each command's parameters that take a path."""
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            subcommand = command.get_command(click.Context(command), below)
            assert subcommand is not None
            yield from path_parameters(subcommand, f"{name} {below}".strip())
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            yield name, parameter


PARAMETERS = [
    pytest.param(*parameter, id=f"{parameter[0]}-{parameter[1].name}") for parameter in path_parameters()
]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_no_path_may_be_empty(name: str, parameter: click.Parameter, refused: Refused) -> None:
    assert isinstance(parameter.type, PathType)
    command = list(COMMANDS[name])
    if isinstance(parameter, click.Option):
        code, said = refused([*command, parameter.opts[0], ""])
        assert parameter.opts[-1] in said
    else:
        position = 1 + name.count(" ")
        code, said = refused([*command[:position], "", *command[position + 1 :]])
    assert code == 2
    assert "must not be empty" in said


@pytest.mark.parametrize("arguments", [["encode", "photo.png", ""], ["decode", "-f", "photo.calo", ""]])
def test_an_empty_output_overwrites_nothing(arguments: list[str], calo: str, refused: Refused) -> None:
    code, said = refused(arguments)
    assert code == 2
    assert "must not be empty" in said


def test_an_empty_host_is_refused(refused: Refused) -> None:
    """It would mean every address of the machine."""
    code, said = refused(["serve", "--host", "", "--port", "0"])
    assert code == 2
    assert "must not be empty" in said


def test_options_that_name_a_file_complete_files(tmp_path: Path) -> None:
    for _, parameter in path_parameters():
        assert isinstance(parameter.type, PathType)
        kinds = [item.type for item in parameter.type.shell_complete(click.Context(cli), parameter, "")]
        assert kinds in (["file"], ["dir"])
