"""``calotype encode``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import click
from PIL import Image

import calotype
from calotype.cli.batch import Made, run, worker_count
from calotype.cli.common import (
    backend_option,
    batch_options,
    file_arguments,
    flags,
    is_given,
    limits_of,
    model_option,
)
from calotype.cli.console import Console
from calotype.cli.diffusion import diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.files import open_picture
from calotype.cli.paths import PathType
from calotype.cli.plan import Job, plan
from calotype.cli.roi import read_regions
from calotype.cli.sizes import read_size
from calotype.container import EXTENSION
from calotype.cores import threads_per_worker
from calotype.encoding.optimise import ROUNDS
from calotype.encoding.plan import EFFORTS
from calotype.options import DEFAULT_EFFORT, DEFAULT_QUALITY, EncodeOptions

__all__ = ["encode"]


@click.command(short_help="Encode pictures to .calo files.")
@file_arguments
@click.option(
    "-q",
    "--quality",
    metavar="0-100",
    type=click.FloatRange(0, 100),
    show_default=f"{DEFAULT_QUALITY:g}, about 0.15 bits per pixel",
    help="Quality, higher is better.",
)
@click.option(
    "--target-size",
    metavar="BYTES",
    callback=read_size,
    help="Largest size of the whole file: 5000, 5kB (5,000), 5KiB (5,120); also MB, MiB.",
)
@click.option("--bpp", metavar="BITS", type=float, help="Largest size of the whole file, in bits per pixel.")
@click.option(
    "--scale",
    metavar="0.125-2",
    type=click.FloatRange(0.125, 2),
    show_default="what looks best: less than 1 for few bytes, more for many",
    help="Scale width and height by this factor before coding; the decoder scales the picture back.",
)
@click.option(
    "-e",
    "--effort",
    metavar="1-9",
    type=click.IntRange(1, 9),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="1 is fastest, 8 searches longest; 9 also optimises the latents by gradient descent, with torch.",
)
@model_option("encoder", "The encoder; 'calotype models' lists them.", default=EncodeOptions.model)
@click.option(
    "--keep-metadata/--strip",
    default=False,
    show_default=True,
    help="Keep EXIF (which may hold the GPS position), XMP and the colour profile, or drop them.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse animations and other pictures that would be encoded with a warning.",
)
@click.option(
    "--recipe",
    type=click.Choice(["hierarchical", "palette"]),
    default=EncodeOptions.recipe,
    show_default=True,
    help="The coding. palette is that of 2022: 256 colours, one size.",
)
@click.option(
    "--protect",
    type=click.Choice(["faces", "none"]),
    default=EncodeOptions.protect,
    show_default=True,
    help="At coarse levels, quantise the latents of faces more finely.",
)
@click.option(
    "--roi",
    metavar="FILE|L,T,W,H[,WEIGHT]",
    multiple=True,
    callback=read_regions,
    help="Quantise a region more finely: left, top, width and height in pixels and a weight up to 1, or the"
    " file of a mask of the picture's size, white where it matters. May be given several times.",
)
@click.option(
    "--decoder", metavar="NAME", help="Effort 9: optimise for this decoder instead of the default one."
)
@click.option(
    "--time-limit",
    metavar="SECONDS",
    type=float,
    default=EncodeOptions.time_limit,
    show_default=True,
    help="Effort 9: time to optimise a picture.",
)
@click.option(
    "--lpips",
    metavar="FILE",
    type=PathType(exists=True),
    help="Effort 9: the ONNX graph of LPIPS, to optimise that metric as well.",
)
@backend_option
@diffusion_options(decoding=False)
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
    _check_given(options)
    diffusion = diffusion_of(options, [options["model"], options["decoder"]])
    try:
        settings = EncodeOptions(diffusion=diffusion, limits=limits_of(max_pixels), **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    todo = plan(paths, out_dir, EXTENSION)
    _refuse_picture_names(todo)
    ensure_fetched(console, settings.model, diffusion, accept_licence=accept_licence, offline=offline)
    workers = worker_count(len(todo), jobs, batch)
    codec = calotype.Codec(threads_per_worker(workers), backend)

    def make(group: Sequence[Job]) -> Iterator[Made]:
        started = perf_counter()
        rounds = (
            ROUNDS if EFFORTS[settings.effort].descent and len(todo) == 1 else 0
        )  # else the bar counts pictures
        with ExitStack() as open_files, console.progress(rounds) as step:
            pictures = [open_files.enter_context(open_picture(job.source, settings.limits)) for job in group]
            for data in codec.encode_many(pictures, settings, batch=len(group), progress=step):
                yield _made(data, perf_counter() - started, settings, console)
                started = perf_counter()

    return run(todo, make, console, force=force, threads=jobs, batch=batch)


def _made(data: bytes, seconds: float, settings: EncodeOptions, console: Console) -> Made:
    info = calotype.read_info(data, limits=settings.limits)
    summary = f"{info.width}x{info.height}, {len(data):,} bytes, {info.bpp:.3f} bpp, {seconds:.2f} s"
    if info.scaled:
        summary += f", coded as {info.coded_width}x{info.coded_height}"
    if console.verbosity:
        summary += f", {info.mode}, encoder {info.encoder}, level {info.level} (step {info.step:.3f})"
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


def _check_given(options: dict[str, Any]) -> None:
    rates = [name for name in ("quality", "target_size", "bpp") if options[name] is not None]
    if len(rates) > 1:
        raise click.UsageError(f"{flags(rates)} exclude each other: give one")
    unused = [name for name in ("decoder", "time_limit", "lpips") if is_given(name)]
    if unused and options["effort"] != 9:
        raise click.UsageError(f"{flags(unused)} would do nothing: only effort 9 optimises (add -e 9)")


def _refuse_picture_names(jobs: Sequence[Job]) -> None:
    # 'encode a.jpg b.jpg' forgot the output: it must not turn b.jpg into something no viewer opens.
    pictures = set(Image.registered_extensions()) - {EXTENSION}
    for job in jobs:
        if Path(job.target).suffix.lower() in pictures:
            raise click.UsageError(
                f"the output '{job.target}' is named like a picture: end it with {EXTENSION}"
            )
