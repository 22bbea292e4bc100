"""Options of the Stable Diffusion models, and the fetching of weights that a command needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

import click

from calotype.cli.common import flags, is_given
from calotype.cli.console import Console
from calotype.cli.paths import PathType
from calotype.models import model_id
from calotype.models.stable_diffusion import FetchedModel, fetched_model
from calotype.models.stable_diffusion.catalogue import vae_model
from calotype.models.stable_diffusion.fetch import fetch_model, look_up_hub_files
from calotype.models.stable_diffusion.store import is_fetched, is_licence_accepted, record_acceptance
from calotype.options import DiffusionOptions

__all__ = [
    "DEVICE_NAMES",
    "diffusion_of",
    "diffusion_options",
    "ensure_fetched",
    "fetch_with_consent",
    "licence_option",
    "offline_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

DEVICE_NAMES = ("device", "dtype")
"""The options that the embedded models use too, in commands that encode or decode with one codec."""

_NAMES = {field.name for field in fields(DiffusionOptions)}

licence_option = click.option(
    "--accept-licence",
    is_flag=True,
    help="Accept the licences of the weights that are fetched, without being asked.",
)

offline_option = click.option("--offline", is_flag=True, help="Open no network connection.")

_SHARED = (
    click.option(
        "--weights",
        metavar="PATH",
        type=PathType(),
        help="Stable Diffusion: load weights from this folder (diffusers layout) or original file.",
    ),
    click.option(
        "--vae",
        metavar="NAME",
        help="Stable Diffusion: use another autoencoder: ft-mse, taesd, or a folder or file.",
    ),
    click.option(
        "--device",
        metavar="NAME",
        default=DiffusionOptions.device,
        show_default=True,
        help="The device of the networks: auto, cpu, cuda or mps, or one such as cuda:1.",
    ),
    click.option(
        "--dtype",
        metavar="NAME",
        default=DiffusionOptions.dtype,
        show_default=True,
        help="The number format of the networks: auto, float32, or on a GPU bfloat16 or float16. auto is"
        " float32, and 8 bits in parts of the encoder where the processor is fast in them.",
    ),
    click.option(
        "--tile",
        metavar="PIXELS",
        type=int,
        default=DiffusionOptions.tile,
        show_default=True,
        help="Stable Diffusion: longest side of a tile.",
    ),
)

_DECODING = (
    click.option(
        "--denoise",
        metavar="auto|off|T",
        default="auto",
        show_default=True,
        help="Stable Diffusion: match the quantisation noise, turn it off, or start at timestep T (0-999).",
    ),
    click.option(
        "--steps",
        metavar="N",
        type=int,
        default=DiffusionOptions.steps,
        show_default=True,
        help="Stable Diffusion: number of denoising steps.",
    ),
    click.option(
        "--seed",
        metavar="N",
        type=int,
        help="Stable Diffusion: add the noise that the latents lack at the timestep, from this seed.",
    ),
)


def diffusion_options(*, decoding: bool) -> Callable[[Command], Command]:
    """Adds the options that :func:`diffusion_of` reads, ``--accept-licence`` and ``--offline``."""

    def decorate(command: Command) -> Command:
        for option in reversed((*_SHARED, *(_DECODING if decoding else ()), licence_option, offline_option)):
            command = option(command)
        return command

    return decorate


def diffusion_of(
    values: dict[str, Any], models: Iterable[str | None], heeded: Iterable[str] = ()
) -> DiffusionOptions:
    """Returns the Stable Diffusion options of the current command, and removes them from its values.

    ``models`` are those of the command, None for the default decoder; ``heeded`` are the options that other
    models use too. Raises :class:`ModelError` for an unknown model, and ``click.UsageError`` for values out
    of range and for options that no model uses.
    """
    taken = {name: values.pop(name) for name in _NAMES & values.keys()}
    named = [model for model in models if model is not None]
    for model in named:
        model_id(model)  # An unknown model is reported once, not for every file.
    given = sorted(name for name in taken if name not in heeded and is_given(name))
    if given and not any(fetched_model(model) for model in named):
        raise click.UsageError(
            f"{flags(given)} would have no effect: {' and '.join(named) or 'the default decoder'} "
            "is no Stable Diffusion model (choose one, such as sd-1.5)"
        )
    if str(taken.get("denoise", "")).isdigit():
        taken["denoise"] = int(taken["denoise"])
    try:
        return DiffusionOptions(**taken)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def ensure_fetched(
    console: Console, model: str | None, options: DiffusionOptions, *, accept_licence: bool, offline: bool
) -> None:
    """Fetches the weights of ``model`` if the user agrees at the terminal or by ``--accept-licence``.

    Otherwise the error of the model names the command that fetches it.
    """
    source = fetched_model(model) if model else None
    if source is None or offline:
        return
    wanted = [source] if options.weights is None else []
    other = vae_model(options.vae) if options.vae else None
    for needed in [*wanted, *([other] if other else [])]:
        if not is_fetched(needed) and (accept_licence or _someone_is_there()):
            fetch_with_consent(console, needed, accept_licence=accept_licence)


def fetch_with_consent(
    console: Console,
    source: FetchedModel,
    *,
    accept_licence: bool = False,
    half: bool = False,
    force: bool = False,
    offline: bool = False,
) -> None:
    """Announces the download, asks for consent to the licence if it is needed, fetches and verifies.

    Raises :class:`ModelError`, also if the user declines, and :class:`OutputError`.
    """
    if not offline and (force or not is_fetched(source)):
        console.note(f"{source.name}: licence {source.licence.name} ({source.licence.url})")
        if source.licence.restrictions:
            console.note(source.licence.restrictions)
        if accept_licence or (
            not is_licence_accepted(source.licence) and _someone_is_there() and _user_accepts_licence(source)
        ):
            record_acceptance(source.licence)
        if is_licence_accepted(source.licence):
            remotes = look_up_hub_files(source, half=half)
            size = sum(remote.size for remote in remotes)
            console.note(
                f"{source.name}: {len(remotes)} files, {size / 1e9:.2f} GB, from {source.repository}"
            )
    record = fetch_model(source, half=half, force=force, offline=offline)
    console.note(f"{source.name} is here, commit {record.commit[:12]}, every file verified")


def _user_accepts_licence(source: FetchedModel) -> bool:
    return click.confirm(f"Do you accept the licence {source.licence.name}?", err=True)


def _someone_is_there() -> bool:
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())
