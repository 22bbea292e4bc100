"""``calotype compare`` and ``calotype stages``: pages to look at."""

from __future__ import annotations

from pathlib import Path

import click

from calotype.cli.choices import read_size, rules_of, rules_options, sizes_option
from calotype.cli.common import limits_of, max_pixels_option, model_option, talk_options
from calotype.cli.console import Console
from calotype.compare import write_report, write_stages
from calotype.compare.folder import INDEX, check_folder
from calotype.options import EncodeOptions

__all__ = ["compare", "stages"]


@click.command(short_help="Compare codecs on pictures at equal bytes: an HTML report.")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", metavar="REPORT", required=True, type=click.Path(path_type=Path), help="The folder."
)
@sizes_option("5kB,2.5kB,1.25kB", "Sizes of the whole file, each codec at its best within them.")
@rules_options
@click.option("--embed", is_flag=True, help="Put the pictures into the page, to send it as one file.")
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an earlier report.")
@talk_options
@click.pass_obj
def compare(
    console: Console,
    photos: tuple[Path, ...],
    out: Path,
    sizes: tuple[int, ...],
    codecs: tuple[str, ...],
    models: tuple[str, ...],
    lpips: Path | None,
    embed: bool,
    max_pixels: int,
    force: bool,
) -> int:
    """Compare codecs on pictures at equal bytes and write an HTML report.

    \b
      calotype compare photo.jpg --out report/
      calotype compare *.png --sizes 5kB,1kB --codecs avif,palette --out report/

    Every codec makes the best file of at most each size, or its smallest one, marked so. The report opens
    from disk: divider, side by side, difference, latents, tables, curves, and the same figures as
    figures.csv and figures.json. Every coded file lies beside it.
    """
    rules = rules_of(models, codecs, lpips)
    check_folder(out, force=force)
    with console.progress(len(photos)) as step:
        rows = write_report(
            photos,
            out,
            sizes=sizes,
            rules=rules,
            limits=limits_of(max_pixels),
            embed=embed,
            force=force,
            progress=step,
        )
    for row in rows:
        console.record(row.as_dict())
    console.note(f"{len(rows)} files compared: open {out / INDEX}")
    return 0


@click.command(short_help="Show how it works on a picture, stage by stage: an HTML page.")
@click.argument("photo", metavar="PHOTO", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", metavar="FOLDER", required=True, type=click.Path(path_type=Path), help="The folder."
)
@click.option(
    "--target-size",
    metavar="BYTES",
    callback=read_size,
    default="5kB",
    show_default=True,
    help="The whole file takes at most this.",
)
@model_option("encoder", "Encodes and develops the picture.", default=EncodeOptions.model)
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an earlier page.")
@talk_options
@click.pass_obj
def stages(
    console: Console, photo: Path, out: Path, target_size: int, model: str, max_pixels: int, force: bool
) -> int:
    """Show on one picture how Calotype works, from pixels to bytes and back.

    Writes a page with the picture, its latents, the integers they become, a map of the bits that each of
    them takes, and the picture developed from them, with the size at each stage.
    """
    check_folder(out, force=force)
    found = write_stages(
        photo, out, target_size=target_size, model=model, limits=limits_of(max_pixels), force=force
    )
    console.record({"input": str(photo), "ok": True, "bytes": len(found.data)})
    console.note(f"{len(found.data):,} bytes: open {out / INDEX}")
    return 0
