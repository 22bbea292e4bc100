"""``calotype gallery``, which writes a static page that decodes in the visitor's browser."""

from __future__ import annotations

from pathlib import Path

import click

from calotype.cli.common import limits_of, max_pixels_option, out_option, talk_options
from calotype.cli.console import Console, Failures
from calotype.cli.paths import PathType
from calotype.compare.folder import INDEX, check_folder
from calotype.gallery import write_gallery

__all__ = ["gallery"]


@click.command(short_help="Write a static page of .calo files that decodes in the browser.")
@click.argument("folder", type=PathType(path_type=Path))
@out_option("SITE")
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an earlier page.")
@talk_options
@click.pass_obj
def gallery(console: Console, /, folder: Path, out: Path, max_pixels: int, force: bool) -> int:
    """Write a static page of the .calo files in FOLDER and below.

    \b
      calotype gallery archive/ --out site/

    The site holds the files, small PNG thumbnails, a viewer, and the browser's decoder with its weights (11
    MB, which a visitor loads once, at the first picture). Any file server can serve it; browsers do not run
    it from disk. A file that cannot be read is left out. A checkout needs 'make web' before.
    """
    check_folder(out, force=force)
    failures = Failures(console)
    count = sum(1 for _ in folder.rglob("*.calo"))
    with console.progress(count) as step:
        written = write_gallery(
            folder, out, limits=limits_of(max_pixels), force=force, progress=step, failed=failures.add
        )
    console.record({"output": str(out), "ok": True, "pictures": written})
    console.note(f"{written} pictures: serve {out} and open {INDEX}")
    return failures.code
