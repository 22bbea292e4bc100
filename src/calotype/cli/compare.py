"""``calotype compare`` and ``calotype stages``, which write HTML pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calotype.cli.choices import rules_of, rules_options, sizes_option
from calotype.cli.common import limits_of, max_pixels_option, model_option, out_option, talk_options
from calotype.cli.console import Console, Failures
from calotype.cli.diffusion import diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.paths import PathType
from calotype.cli.sizes import read_size
from calotype.compare import write_report, write_stage_pages
from calotype.compare.folder import INDEX, check_folder
from calotype.options import EncodeOptions

__all__ = ["compare", "stages"]


@click.command(short_help="Compare codecs on pictures at equal bytes: an HTML report.")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...", type=PathType(path_type=Path))
@out_option("REPORT")
@sizes_option("5kB,2.5kB,1.25kB", "The largest sizes of a file; every codec makes its best file within each.")
@rules_options
@click.option("--embed", is_flag=True, help="Embed the pictures in the page, so that the report is one file.")
@click.option(
    "--decoder/--no-decoder",
    default=True,
    show_default=True,
    help="Put the browser's decoder (12 MB) beside the page, which then opens .calo files; not with --embed.",
)
@diffusion_options(decoding=True)
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an earlier report.")
@talk_options
@click.pass_obj
def compare(
    console: Console,
    /,
    photos: tuple[Path, ...],
    out: Path,
    sizes: tuple[int, ...],
    codecs: tuple[str, ...],
    models: tuple[str, ...],
    lpips: Path | None,
    embed: bool,
    decoder: bool,
    max_pixels: int,
    force: bool,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Compare codecs on pictures at equal bytes and write an HTML report.

    \b
      calotype compare photo.jpg --out report/
      calotype compare *.png --sizes 5kB,1kB --codecs avif,palette --out report/

    Every codec makes its best file of at most each size; if its smallest file is larger, the report marks it.
    The report opens from disk. It shows the pictures with a divider, side by side and as differences, the
    latents, tables and curves. Beside it lie the figures as figures.csv and figures.json, and every coded
    file. A picture that cannot be read does not stop the others.
    """
    rules = rules_of(models, codecs, lpips, diffusion_of(diffusion, models))
    for model in models:
        ensure_fetched(console, model, rules.diffusion, accept_licence=accept_licence, offline=offline)
    check_folder(out, force=force)
    failures = Failures(console)
    with console.progress(len(photos)) as step:
        rows = write_report(
            photos,
            out,
            sizes=sizes,
            rules=rules,
            limits=limits_of(max_pixels),
            embed=embed,
            decoder=decoder,
            force=force,
            progress=step,
            failed=failures.add if len(photos) > 1 else None,
        )
    for row in rows:
        console.record(row.as_dict())
    console.note(f"{len(rows)} files compared: open {out / INDEX}")
    return failures.code


@click.command(short_help="Show the codec stage by stage on a picture: an HTML page.")
@click.argument("photo", metavar="PHOTO", type=PathType(path_type=Path))
@out_option("FOLDER")
@click.option(
    "--target-size",
    metavar="BYTES",
    callback=read_size,
    default="5kB",
    show_default=True,
    help="Largest size of the whole file.",
)
@model_option("The model that encodes and decodes the picture.", default=EncodeOptions.model)
@diffusion_options(decoding=True)
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an earlier page.")
@talk_options
@click.pass_obj
def stages(
    console: Console,
    /,
    photo: Path,
    out: Path,
    target_size: int,
    model: str,
    max_pixels: int,
    force: bool,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Show on one picture how Calotype works, from pixels to bytes and back.

    Writes a page with the picture, its latents, their integers, a map of the bits that each position takes,
    and the decoded picture, with the size at each stage.
    """
    check_folder(out, force=force)
    options = diffusion_of(diffusion, [model])
    ensure_fetched(console, model, options, accept_licence=accept_licence, offline=offline)
    result = write_stage_pages(
        photo,
        out,
        target_size=target_size,
        model=model,
        diffusion=options,
        limits=limits_of(max_pixels),
        force=force,
    )
    console.record({"input": str(photo), "ok": True, "bytes": len(result.data)})
    console.note(f"{len(result.data):,} bytes: open {out / INDEX}")
    return 0
