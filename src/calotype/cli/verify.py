"""``calotype verify``: how true a file is to its photograph."""

from __future__ import annotations

import io
from typing import Any

import click

import calotype
from calotype.cli.common import (
    backend_option,
    count_option,
    limits_of,
    max_pixels_option,
    model_option,
    talk_options,
)
from calotype.cli.console import Console
from calotype.cli.diffusion import diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.files import STDIO, check_target, open_picture, read_calotype, write_target
from calotype.cli.paths import PathType
from calotype.cli.pictures import format_of_path
from calotype.imaging import pack_picture
from calotype.options import DecodeOptions

__all__ = ["verify"]


@click.command(short_help="Compare a .calo file with its photograph: structure that was invented or lost.")
@click.argument("photo", type=PathType(stdio=True))
@click.argument("file", type=PathType(stdio=True))
@click.option(
    "--map",
    "map_path",
    metavar="PICTURE",
    type=PathType(),
    help="Write the picture with a heat map: red where structure was invented, blue where it was lost.",
)
@click.option(
    "--max-invention",
    metavar="T",
    type=click.FloatRange(0, 1),
    help="Fail, with exit code 1, if the invention is above T, 0 to 1.",
)
@count_option("--regions", default=5, least=0, help="Number of regions to list.")
@model_option(
    "The decoder; 'calotype models' lists them.", shown="the default one of the file's latent space"
)
@backend_option
@diffusion_options(decoding=True)
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing map.")
@talk_options
@click.pass_obj
def verify(
    console: Console,
    /,
    photo: str,
    file: str,
    map_path: str | None,
    max_invention: float | None,
    regions: int,
    model: str | None,
    backend: str,
    max_pixels: int,
    force: bool,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Compare a .calo file with its photograph: structure that was invented, and structure that was lost.

    \b
      calotype verify photo.jpg photo.calo
      calotype verify --map heat.png --max-invention 0.8 photo.jpg photo.calo

    The file is decoded, and each block of 16x16 pixels gets two scores from 0 to 1, for structure that only
    the decoded picture has, and for structure that only the photograph has. "invention" and "loss" are the
    means of the hundredth of the blocks where the scores are largest. '-' is standard input.
    """
    if photo == file == STDIO:
        raise click.UsageError("PHOTO and FILE cannot both be standard input")
    limits = limits_of(max_pixels)
    settings = DecodeOptions(model=model, limits=limits, diffusion=diffusion_of(diffusion, [model]))
    picture_format = None if map_path is None else format_of_path(map_path)
    if map_path is not None:
        check_target(map_path, force=force)
    if model is not None:
        ensure_fetched(console, model, settings.diffusion, accept_licence=accept_licence, offline=offline)
    codec = calotype.Codec(backend=backend)
    with open_picture(photo, limits) as source:
        original = io.BytesIO(source.read())
    data = read_calotype(file, limits)
    fidelity = codec.verify(original, data, settings)
    if map_path is not None and picture_format is not None:
        picture = codec.decode(data, settings, keep_metadata=False, provenance=False)
        write_target(map_path, pack_picture(fidelity.heat_map(picture), picture_format), force=force)
    worst = fidelity.regions(regions)
    too_much = max_invention is not None and fidelity.invention > max_invention
    if console.json:
        listed = [region.as_dict() for region in worst]
        console.record(
            {"photo": photo, "file": file, "ok": not too_much, **fidelity.as_dict(), "regions": listed}
        )
    elif not console.quiet:
        console.result(_text(file, fidelity, len(data)))
        for region in worst:
            console.result(f"  {region}")
    if too_much:
        console.error(f"{file}: the invention {fidelity.invention:.3f} is above {max_invention:g}")
    return int(too_much)


def _text(file: str, fidelity: calotype.Fidelity, size: int) -> str:
    return (
        f"{file}: invention {fidelity.invention:.3f}, loss {fidelity.loss:.3f}, "
        f"{100 * fidelity.changed:.1f} % of the blocks changed, {size:,} bytes"
    )
