"""``calotype encode``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import click

import calotype
from calotype.cli.batch import Made, run, worker_count
from calotype.cli.coding import encoder_options, settings_of
from calotype.cli.common import batch_options, file_arguments
from calotype.cli.console import Console
from calotype.cli.diffusion import ensure_fetched
from calotype.cli.files import open_picture
from calotype.cli.plan import Job, plan
from calotype.cli.roi import read_regions
from calotype.container import EXTENSION
from calotype.cores import threads_per_worker
from calotype.models import is_embedded
from calotype.options import EncodeOptions

__all__ = ["encode"]


@click.command(short_help="Encode pictures to .calo files.")
@file_arguments
@encoder_options
@click.option(
    "--roi",
    metavar="FILE|L,T,W,H[,WEIGHT]",
    multiple=True,
    callback=read_regions,
    help="Quantise a region more finely: left, top, width and height in pixels and a weight up to 1, or the"
    " file of a mask of the picture's size, white where it matters. May be given several times.",
)
@click.option(
    "--faithful",
    metavar="T",
    type=click.FloatRange(0, 1),
    help="Write no file whose invention, as 'calotype verify' measures it, is above T, 0 to 1: spend bytes on"
    " finer latents and on patches until it is not, or fail if the size does not allow it.",
)
@batch_options
@click.pass_obj
def encode(
    console: Console,
    /,
    paths: Sequence[str],
    out_dir: str | None,
    backend: str,
    max_pixels: int,
    force: bool,
    jobs: int,
    batch: int,
    accept_licence: bool,
    offline: bool,
    **options: Any,
) -> int:
    """Encode pictures to .calo files.

    \b
      calotype encode photo.jpg photo.calo
      calotype encode --target-size 5kB photo.jpg photo.calo
      calotype encode *.jpg folder/
      calotype encode - - < photo.jpg > photo.calo

    IN is any picture that Pillow reads, OUT the file to write; '-' is standard input or output. With
    several inputs OUT is a folder. --quality, --target-size and --bpp exclude each other.
    """
    # This loads numpy, which help and completion do not need.
    from calotype.encoding.optimise import MAX_ITERATIONS
    from calotype.encoding.plan import EFFORTS

    settings = settings_of(options, max_pixels)
    todo = plan(paths, out_dir, EXTENSION)
    _refuse_picture_names(todo)
    ensure_fetched(
        console, settings.model, settings.diffusion, accept_licence=accept_licence, offline=offline
    )
    workers = worker_count(len(todo), jobs, batch)
    diffusion = settings.diffusion
    codec = calotype.Codec(threads_per_worker(workers), backend, diffusion.device, diffusion.dtype)

    def make(group: Sequence[Job]) -> Iterator[Made]:
        started = perf_counter()
        # The bar counts the iterations of a single picture, otherwise the pictures.
        iterations = MAX_ITERATIONS if EFFORTS[settings.effort].descent and len(todo) == 1 else 0
        with ExitStack() as open_files, console.progress(iterations) as step:
            pictures = [open_files.enter_context(open_picture(job.source, settings.limits)) for job in group]
            for data in codec.encode_many(pictures, settings, batch=len(group), progress=step):
                yield _describe_encoded(data, perf_counter() - started, settings, console, codec)
                started = perf_counter()

    return run(todo, make, console, force=force, threads=jobs, batch=batch)


def _describe_encoded(
    data: bytes, seconds: float, settings: EncodeOptions, console: Console, codec: calotype.Codec
) -> Made:
    info = calotype.read_info(data, limits=settings.limits)
    summary = f"{info.width}x{info.height}, {len(data):,} bytes, {info.bpp:.3f} bpp, {seconds:.2f} s"
    if info.scaled:
        summary += f", coded as {info.coded_width}x{info.coded_height}"
    if console.verbosity:
        summary += f", {info.mode}, encoder {info.encoder}, level {info.level} (step {info.step:.3f})"
        if is_embedded(settings.model):
            summary += f", on {codec.place}"
    record = {
        "bytes": len(data),
        "width": info.width,
        "height": info.height,
        "coded_width": info.coded_width,
        "coded_height": info.coded_height,
        "mode": info.mode,
        "bpp": info.bpp,
        "encoder": info.encoder,
        "level": info.level,
        "step": info.step,
        "effort": settings.effort,
        "seconds": seconds,
    }
    return Made(data, summary, record)


def _refuse_picture_names(jobs: Sequence[Job]) -> None:
    # In 'encode a.jpg b.jpg' the output is forgotten: b.jpg must not be replaced by a .calo file.
    suffixes = {Path(job.target).suffix.lower() for job in jobs} - {EXTENSION, ""}
    if not suffixes:
        return
    from PIL import Image  # To know all extensions, Pillow loads all of its plugins.

    pictures = set(Image.registered_extensions()) & suffixes
    for job in jobs:
        if Path(job.target).suffix.lower() in pictures:
            raise click.UsageError(
                f"the output '{job.target}' is named like a picture: end it with {EXTENSION}"
            )
