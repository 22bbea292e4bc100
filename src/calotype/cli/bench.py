"""``calotype bench``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from calotype.cli.choices import rules_of, rules_options, sizes_option
from calotype.cli.common import jobs_option, max_pixels_option, out_option, talk_options
from calotype.cli.console import Console, Failures
from calotype.cli.diffusion import diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.paths import PathType
from calotype.compare.bench import Settings, run_bench

__all__ = ["bench"]


@click.command(short_help="Measure codecs on a folder of pictures: figures, BD-rates, curves.")
@click.argument("folder", metavar="FOLDER", type=PathType(exists=True, folder=True, path_type=Path))
@out_option("RESULTS")
@sizes_option(
    "40kB,20kB,10kB,5kB,2.5kB,1.25kB",
    "The sizes of files for 512x512 pixels; others are in proportion to the area.",
)
@rules_options
@click.option(
    "--crop",
    metavar="SIDE",
    type=click.IntRange(min=1),
    help="Measure the central square of each picture, of this side.",
)
@diffusion_options(decoding=True)
@jobs_option
@max_pixels_option
@click.option("-f", "--force", is_flag=True, help="Discard figures of an earlier run with other settings.")
@talk_options
@click.pass_obj
def bench(
    console: Console,
    /,
    folder: Path,
    out: Path,
    sizes: tuple[int, ...],
    codecs: tuple[str, ...],
    models: tuple[str, ...],
    lpips: Path | None,
    crop: int | None,
    jobs: int,
    max_pixels: int,
    force: bool,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Measure codecs on a folder of pictures.

    \b
      calotype bench kodak/ --out results/ --lpips lpips.onnx -j 4

    Writes figures.csv (a line for each picture, codec and size), summary.md (means, worst cases and BD-rates
    as tables) and curves.png. A second run continues an interrupted one; with more codecs or sizes it
    measures only the new ones. A picture that cannot be read does not stop the others.
    """
    rules = rules_of(models, codecs, lpips, diffusion_of(diffusion, models))
    for model in models:
        ensure_fetched(console, model, rules.diffusion, accept_licence=accept_licence, offline=offline)
    settings = Settings(rules, tuple(sorted(set(sizes), reverse=True)), crop, max_pixels)
    failures = Failures(console)
    with ExitStack() as stack:

        def started(total: int) -> Callable[[], None]:
            return stack.enter_context(console.progress(total))

        rows = run_bench(
            folder,
            out,
            settings,
            jobs=jobs,
            force=force,
            started=started,
            remark=console.note,
            failed=failures.add,
        )
    for row in rows:
        console.record(row.as_dict())
    console.note(f"{len(rows)} figures: see {out / 'summary.md'}")
    return failures.code
