"""``calotype archive extract`` and ``export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click

from calotype import errors
from calotype.archive import Archive, Conversion, ExportCounts, ExportSettings
from calotype.archive import export as export_archive
from calotype.archive.engines.encoder import Failure
from calotype.archive.exporting.conversion import EXPORT_FORMATS, STORED
from calotype.archive.exporting.sinks import Existing
from calotype.cli.archive.options import archive_argument, force_option, workers_option
from calotype.cli.archive.running import INTERRUPTED, shown, stopped_by_signals
from calotype.cli.common import (
    Command,
    backend_option,
    flags,
    is_given,
    limits_of,
    max_pixels_option,
    model_option,
    out_option,
    talk_options,
)
from calotype.cli.console import Console
from calotype.cli.diffusion import DEVICE_NAMES, diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.paths import PathType
from calotype.imaging import FORMATS
from calotype.latent_files import CACHE_FORMATS
from calotype.latents import SD1
from calotype.options import REDUCTIONS, DecodeOptions

__all__ = ["export", "extract"]


def _existing_options(command: Command) -> Command:
    resume = click.option(
        "--resume",
        is_flag=True,
        help="Go on after an interruption: keep the files that are there and write the others.",
    )
    return force_option(resume(command))


@click.command(short_help="Write pictures of an archive into a folder, as .calo files.")
@archive_argument
@click.argument("patterns", metavar="[ID|NAME|PATTERN]...", nargs=-1)
@out_option("FOLDER")
@_existing_options
@talk_options
@click.pass_obj
def extract(
    console: Console, address: str, patterns: Sequence[str], out: Path, force: bool, resume: bool
) -> int:
    """Write pictures of an archive into a folder, as they are stored.

    Without an ID, NAME or PATTERN all pictures are written.

    Files have the names of the pictures with the ending .calo; kept originals keep their own. Folders within
    names are made. If several pictures have one name, all but the first get their id added to it.
    """
    settings = ExportSettings(existing=_existing(force, resume))
    return _run(console, address, str(out), settings, patterns)


@click.command(short_help="Write an archive as files, WebDataset shards, pictures or latents.")
@archive_argument
@click.argument("destination", metavar="DST", type=PathType())
@click.argument("patterns", metavar="[ID|NAME|PATTERN]...", nargs=-1)
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    type=click.Choice(EXPORT_FORMATS),
    default=STORED,
    show_default=True,
    help=f"The format of the output: {STORED} (the stored file), {', '.join(FORMATS)} (decoded), or"
    f" {', '.join(CACHE_FORMATS)} (its latents, as trainers of Stable Diffusion cache them).",
)
@click.option("--webdataset", is_flag=True, help="Write tar files in the layout of WebDataset.")
@click.option(
    "--shard-pictures",
    metavar="N",
    type=click.IntRange(min=1),
    default=ExportSettings.shard_pictures,
    show_default=True,
    help="WebDataset: number of pictures in a tar file.",
)
@workers_option
@model_option("Picture formats: the decoder.", shown="the default one of the file's latent space")
@click.option(
    "--reduce",
    metavar="N",
    type=click.Choice([str(factor) for factor in REDUCTIONS]),
    default="1",
    show_default=True,
    help="Picture formats: decode at 1/8 or 1/16 of width and height, much faster: 1, 8 or 16.",
)
@click.option("--float16", is_flag=True, help="Latent formats: write float16 instead of float32.")
@click.option(
    "--scaled/--unscaled",
    default=False,
    show_default=True,
    help=f"Latent formats: multiply the latents by {SD1.scaling}; those in trainers' caches are not.",
)
@click.option(
    "--conditional-mean",
    is_flag=True,
    help="Latent formats: write conditional means, nearer to the encoder's latents.",
)
@_existing_options
@backend_option
@diffusion_options(decoding=True)
@max_pixels_option
@talk_options
@click.pass_obj
def export(
    console: Console,
    /,
    address: str,
    destination: str,
    patterns: Sequence[str],
    format_name: str,
    webdataset: bool,
    shard_pictures: int,
    workers: int | None,
    model: str | None,
    reduce: str,
    float16: bool,
    scaled: bool,
    conditional_mean: bool,
    force: bool,
    resume: bool,
    backend: str,
    max_pixels: int,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Write an archive, or those of its pictures whose id or name is given or matches a pattern, to DST, a
    folder or a URL.

    \b
      calotype archive export archive/ files/
      calotype archive export --format png archive/ pictures/ '2024/*'
      calotype archive export --format webp --webdataset archive/ shards/
      calotype archive export --format npz --float16 archive/ latents/

    A folder gets one file for each picture, with its name. With --webdataset it gets tar files,
    shard-000000.tar and so on; each picture is two members, its file and a .json with its row, named by its
    id. Pictures that kept their original are exported as they are with --format calo, converted with
    picture formats, and left out where latents are asked for.
    """
    _check_given(format_name, webdataset)
    decode = DecodeOptions(
        model=model,
        reduce=int(reduce),
        limits=limits_of(max_pixels),
        diffusion=diffusion_of(diffusion, [model], DEVICE_NAMES),
    )
    if model is not None:
        ensure_fetched(console, model, decode.diffusion, accept_licence=accept_licence, offline=offline)
    dtype: Literal["float32", "float16"] = "float16" if float16 else "float32"
    conversion = Conversion(format_name, decode, backend, dtype, scaled, conditional_mean)
    settings = ExportSettings(conversion, webdataset, shard_pictures, _existing(force, resume), workers)
    return _run(console, address, destination, settings, patterns)


def _run(
    console: Console, address: str, destination: str, settings: ExportSettings, patterns: Sequence[str]
) -> int:
    code = 0

    def failed(name: str, failure: Failure) -> None:
        nonlocal code
        code = max(code, getattr(errors, failure.kind, errors.CalotypeError).exit_code)
        console.error(f"{name}: {failure.reason}")

    with Archive(address) as archive, stopped_by_signals() as stop, console.status() as show:
        total = len(archive)
        counts = export_archive(
            archive,
            destination,
            settings,
            patterns=patterns,
            stop=stop,
            failed=failed,
            progress=shown(show, lambda counts: _state(counts, None if patterns else total)),
        )
    console.note(_summary(counts, destination))
    console.record({"output": destination, "ok": not code, **asdict(counts)})
    if counts.interrupted:
        console.note("calotype: interrupted: repeat the command with --resume to go on")
        return INTERRUPTED
    return code


def _existing(force: bool, resume: bool) -> Existing:
    if force and resume:
        raise click.UsageError("--force and --resume exclude each other: give one")
    return "replace" if force else "keep" if resume else "refuse"


def _check_given(format_name: str, webdataset: bool) -> None:
    """Raises ``click.UsageError`` for options that would have no effect."""
    uses = {
        "pictures": (format_name in FORMATS, ("model", "reduce")),
        "latents": (format_name in CACHE_FORMATS, ("float16", "scaled", "conditional_mean")),
        "shards": (webdataset, ("shard_pictures",)),
    }
    for what, (used, names) in uses.items():
        if not used and (given := [name for name in names if is_given(name)]):
            raise click.UsageError(f"{flags(given)} would have no effect: no {what} are written")


def _state(counts: ExportCounts, total: int | None) -> str:
    done = counts.exported + counts.failed
    rate = done / counts.seconds if counts.seconds else 0.0
    of = f" of {total:,}" if total is not None else ""
    return f"{done + counts.kept:,}{of} pictures, {rate:.2f} a second, {counts.bytes / 1e6:,.1f} MB out"


def _summary(counts: ExportCounts, destination: str) -> str:
    others = [
        (counts.kept, "there already"),
        (counts.failed, "failed"),
        (counts.without_latents, "without latents left out"),
    ]
    text = ", ".join([f"{counts.exported:,} pictures", *(f"{n:,} {what}" for n, what in others if n)])
    size = f"{counts.files:,} files, {counts.bytes / 1e6:,.1f} MB"
    return f"{text} -> {destination}: {size}, {counts.seconds:.1f} s"
