"""``calotype models``: ``list``, ``fetch``, ``verify`` and ``path``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict

import click

from calotype.cli.common import json_option
from calotype.cli.console import Console
from calotype.cli.diffusion import fetch_with_consent, licence_option, offline_option
from calotype.cli.paths import PathType
from calotype.errors import CalotypeError, ModelError
from calotype.models import is_embedded, list_models
from calotype.models.places import choose_place
from calotype.models.stable_diffusion import CATALOGUE, FetchedModel, fetched_model
from calotype.models.stable_diffusion.selftest import self_test
from calotype.models.stable_diffusion.store import WeightsLocation, check_file_hash, fetched_location
from calotype.options import DiffusionOptions

__all__ = ["fetch", "list_", "models", "path", "verify"]


def _complete_model_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [source.name for source in CATALOGUE if source.name.startswith(incomplete)]


def _parse_model_names(_: click.Context, __: click.Parameter, names: Sequence[str]) -> list[FetchedModel]:
    sources = {name: fetched_model(name) for name in names}
    for name, source in sources.items():
        if source is None:
            known = ", ".join(source.name for source in CATALOGUE)
            raise click.BadParameter(f"{name!r} is not a model to fetch (those are {known})")
    return [source for source in sources.values() if source is not None]


_names_argument = click.argument(
    "sources",
    metavar="NAME...",
    nargs=-1,
    required=True,
    callback=_parse_model_names,
    shell_complete=_complete_model_name,
)


@click.group(invoke_without_command=True, short_help="List, fetch and verify models.")
@json_option
@click.pass_context
def models(ctx: click.Context) -> int | None:
    """The models that encode and decode; without a command, list them.

    pocket is part of the package. The Stable Diffusion models need 'calotype[sd]' and their weights, which
    'calotype models fetch' puts into the hub's own cache (HF_HOME says where).
    """
    return None if ctx.invoked_subcommand else int(ctx.invoke(list_))


@models.command("list")
@json_option
@click.pass_obj
def list_(console: Console) -> int:
    """List the models, which of them are available on this machine, and where the embedded ones run."""
    place = str(choose_place())
    for model in list_models():
        embedded = is_embedded(model.name)
        if console.json:
            console.record(asdict(model) | {"place": place if embedded else None})
            continue
        status = "available" if model.available else "not fetched"
        size = f"{model.size_bytes / 1e6:,.1f} MB"
        source = fetched_model(model.name)
        licence = f", licence {source.licence.name}" if source else ""
        roles = ", ".join(model.roles)
        click.echo(f"{model.name:<14} {status:<12} {size:>11}  {roles} of space {model.space}{licence}")
        click.echo(f"{'':<14} {model.description}" + (f"; on {place}" if embedded else ""))
    return 0


@models.command()
@_names_argument
@click.option("--half", is_flag=True, help="Fetch the weights that are stored in 16 bits: half the size.")
@click.option("-f", "--force", is_flag=True, help="Fetch the newest version, and replace damaged files.")
@licence_option
@offline_option
@click.pass_obj
def fetch(
    console: Console,
    sources: list[FetchedModel],
    half: bool,
    force: bool,
    accept_licence: bool,
    offline: bool,
) -> int:
    """Fetch the weights of models, and verify them.

    A broken connection is resumed; after an interrupt the next call keeps the files that are complete. The
    sha256 of every file is recorded, and checked each time the model is loaded.
    """
    for source in sources:
        fetch_with_consent(
            console, source, accept_licence=accept_licence, half=half, force=force, offline=offline
        )
    return 0


@models.command()
@_names_argument
@click.option(
    "--self-test",
    is_flag=True,
    help="Also load every network, code a test picture, and check the result.",
)
@click.option(
    "--weights", metavar="PATH", type=PathType(), help="Test this folder or file; implies --self-test."
)
@click.option("--device", metavar="NAME", default=DiffusionOptions.device, show_default=True)
@click.option("--dtype", metavar="NAME", default=DiffusionOptions.dtype, show_default=True)
@json_option
@click.pass_obj
def verify(
    console: Console,
    sources: list[FetchedModel],
    self_test: bool,
    weights: str | None,
    device: str,
    dtype: str,
) -> int:
    """Compare the fetched files with the sha256 recorded when they were fetched."""
    code = 0
    for source in sources:
        try:
            if weights is None:
                _verify_files(console, source, fetched_location(source))
            if self_test or weights is not None:
                options = DiffusionOptions(weights=weights, device=device, dtype=dtype)
                code = max(code, _test_model(console, source, options))
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except CalotypeError as error:
            code = max(code, console.failure(error, source.name))
    return code


def _verify_files(console: Console, source: FetchedModel, location: WeightsLocation) -> None:
    for name, expected in location.sha256.items():
        path = location.path / name
        check_file_hash(path, expected, source.name)
        size = path.stat().st_size
        if console.json:
            console.record(
                {"model": source.name, "file": name, "bytes": size, "sha256": expected, "ok": True}
            )
        else:
            click.echo(f"{source.name}: {name}: {size:,} bytes, sha256 {expected}: as fetched")


def _test_model(console: Console, source: FetchedModel, options: DiffusionOptions) -> int:
    passed = True
    for check in self_test(source, options):
        passed &= check.ok
        if console.json:
            console.record({"model": source.name, **asdict(check)})
        else:
            verdict = "ok" if check.ok else "WRONG"
            click.echo(f"{source.name}: {check.name}: {check.found} (expected {check.expected}): {verdict}")
    console.note(f"{source.name}: the self-test {'passed' if passed else 'FAILED'}")
    return 0 if passed else ModelError.exit_code


@models.command()
@_names_argument
def path(sources: list[FetchedModel]) -> int:
    """Print the folder that holds a model's files."""
    for source in sources:
        # Scripts get the bytes of the path, in any encoding.
        click.echo(os.fsencode(fetched_location(source).path))
    return 0
