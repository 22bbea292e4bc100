"""``calotype experiment``, which repeats the experiments of 2022."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calotype.cli.common import limits_of, max_pixels_option, model_option, out_option, talk_options
from calotype.cli.console import Console
from calotype.cli.diffusion import diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.paths import PathType
from calotype.compare import read_pixels
from calotype.compare.folder import check_folder
from calotype.experiments import ALSO, Settings, experiment_table, run_experiment, write_results
from calotype.experiments.results import SHEET, experiment_rows

__all__ = ["experiment"]


@click.group(short_help="Repeat the experiments of 2022.")
def experiment() -> None:
    """Repeat the experiments of 2022 on which Calotype is based."""


@experiment.command("palette", short_help="Repeat the palette coding of 2022, stage by stage.")
@click.argument("photo", metavar="IN", type=PathType(path_type=Path))
@out_option("FOLDER")
@model_option("The model that encodes and decodes the picture.", default=Settings.model)
@click.option(
    "--also",
    metavar="NAME",
    multiple=True,
    type=click.Choice([*ALSO, "all"]),
    help=f"Also measure this coding of the latents, one of {', '.join(ALSO)}; can be repeated; or all.",
)
@click.option(
    "--lpips",
    metavar="FILE",
    type=PathType(exists=True, path_type=Path),
    help="The ONNX graph of LPIPS, to measure that metric as well.",
)
@diffusion_options(decoding=False)
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an earlier experiment.")
@talk_options
@click.pass_obj
def _palette_command(
    console: Console,
    /,
    photo: Path,
    out: Path,
    model: str,
    also: tuple[str, ...],
    lpips: Path | None,
    max_pixels: int,
    force: bool,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Repeat the palette coding of 2022 by stages: latents in 8 bits, 256 colours, dithered or not, zlib.

    \b
      calotype experiment palette photo.jpg --out folder/
      calotype experiment palette photo.jpg --out folder/ -m sd-1.4 --also all

    Each stage is decoded, with a U-Net also un-dithered (strength 0.04 of 66 steps), and compared with IN and
    with JPEG and WebP of at least as many bytes. FOLDER gets a PNG of each, a contact sheet, the figures as
    CSV and JSON, and the recipe as a .calo file.
    """
    check_folder(out, force=force, mark=SHEET)
    options = diffusion_of(diffusion, [model])
    ensure_fetched(console, model, options, accept_licence=accept_licence, offline=offline)
    settings = Settings(model, ALSO if "all" in also else also, lpips, options)
    result = run_experiment(read_pixels(photo, limits_of(max_pixels)), settings)
    write_results(result, out, force=force)
    for row in experiment_rows(result):
        console.record(row)
    console.note(f"{experiment_table(result)}\nopen {out / SHEET}")
    return 0
