"""Options that take sizes or names, and those that say which codecs are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from calotype.cli.common import Command
from calotype.cli.paths import PathType
from calotype.cli.sizes import read_size
from calotype.compare import Rules
from calotype.compare.codecs import CODECS
from calotype.models import model_id
from calotype.models.stable_diffusion import fetched_model
from calotype.options import DiffusionOptions

__all__ = ["rules_of", "rules_options", "sizes_option"]


def sizes_option(default: str, help: str) -> Callable[[Command], Command]:
    """Returns the option ``--sizes``: sizes in bytes, separated by commas."""

    def read(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, ...]:
        sizes = [read_size(ctx, param, part) for part in _comma_separated(text)]
        if not sizes:
            raise click.BadParameter("there is no size in it")
        return tuple(size for size in sizes if size is not None)

    return click.option(
        "--sizes", metavar="BYTES,...", callback=read, default=default, show_default=True, help=help
    )


def rules_options(command: Command) -> Command:
    """Adds the options that select codecs and metrics: ``--models``, ``--codecs``, ``--lpips``."""
    rules = Rules()
    for decorate in (
        click.option(
            "--lpips",
            metavar="FILE",
            type=PathType(exists=True, path_type=Path),
            help="The ONNX graph of LPIPS, to measure that metric as well.",
        ),
        _names_option(
            "codecs",
            list(CODECS),
            rules.codecs,
            f"The other codecs to compare, of {', '.join(CODECS)}; may be empty.",
        ),
        _names_option("models", None, rules.models, "The models of Calotype to compare; may be empty."),
    ):
        command = decorate(command)
    return command


def rules_of(
    models: tuple[str, ...], codecs: tuple[str, ...], lpips: Path | None, diffusion: DiffusionOptions
) -> Rules:
    """Returns the values of :func:`rules_options`.

    Raises ``click.UsageError`` if no codec is selected or ``--weights`` would apply to two models, and
    :class:`ModelError` for an unknown model.
    """
    if not models and not codecs:
        raise click.UsageError("there is nothing to compare: give --models or --codecs")
    for model in models:
        model_id(model)
    fetched = [model for model in models if fetched_model(model)]
    if diffusion.weights is not None and len(fetched) > 1:
        raise click.UsageError(f"--weights cannot be those of {' and '.join(fetched)}: fetch them instead")
    return Rules(models, codecs, lpips, diffusion=diffusion)


def _names_option(
    name: str, known: Sequence[str] | None, default: Sequence[str], help: str
) -> Callable[[Command], Command]:
    def read(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(_comma_separated(text)))
        for name_given in names:
            if known is not None and name_given not in known:
                raise click.BadParameter(f"{name_given!r} is none of {', '.join(known)}")
        return names

    return click.option(
        f"--{name}",
        metavar="NAME,...",
        callback=read,
        default=",".join(default),
        show_default=True,
        help=help,
    )


def _comma_separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
