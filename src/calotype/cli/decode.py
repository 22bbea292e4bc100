"""``calotype decode``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import click

import calotype
from calotype.cli.batch import Made, run, worker_count
from calotype.cli.boxes import BoxType
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
from calotype.cli.diffusion import DEVICE_NAMES, diffusion_of, diffusion_options, ensure_fetched
from calotype.cli.files import STDIO, read_calotype
from calotype.cli.pictures import FORMAT_NAMES, format_named, format_of_path
from calotype.cli.plan import Job, plan
from calotype.cores import threads_per_worker
from calotype.errors import OutputError
from calotype.imaging import FORMATS, PictureFormat, pack_picture
from calotype.latents import SD1
from calotype.models import decoder_name, is_embedded
from calotype.options import REDUCTIONS, DecodeOptions

__all__ = ["decode"]

_DEFAULT_FORMAT = "png"


@click.command(short_help="Decode .calo files to pictures.")
@file_arguments
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    type=click.Choice(FORMAT_NAMES, case_sensitive=False),
    show_default="by OUT's extension, png for folders and pipes",
    help=f"Picture format: {', '.join(FORMATS)}.",
)
@model_option(
    "The decoder; 'calotype models' lists them.",
    shown="the default one of the file's latent space",
)
@click.option(
    "--keep-metadata/--strip",
    default=True,
    show_default=True,
    help="Attach the file's EXIF, XMP and colour profile to the picture, or leave them out.",
)
@click.option(
    "--provenance/--no-provenance",
    default=True,
    show_default=True,
    help="Add a note to the picture: that Calotype decoded it, from how many bytes and by which models.",
)
@click.option(
    "--overlay",
    is_flag=True,
    help="Mark the parts that are uncertain according to the file's record with stripes.",
)
@click.option(
    "--strict", is_flag=True, help="Also refuse files with damage that does not change the picture."
)
@click.option("--partial", is_flag=True, help="Decode truncated files as far as possible, with a warning.")
@click.option(
    "--reduce",
    metavar="N",
    type=click.Choice([str(factor) for factor in REDUCTIONS]),
    default="1",
    show_default=True,
    help="Decode at 1/8 or 1/16 of width and height, in a small part of the time: 1, 8 or 16.",
)
@click.option(
    "--crop",
    metavar="LEFT,TOP,RIGHT,BOTTOM",
    type=BoxType(),
    help="Decode only this part, in pixels of the whole picture.",
)
@backend_option
@diffusion_options(decoding=True)
@batch_options
@click.pass_obj
def decode(
    console: Console,
    /,
    paths: Sequence[str],
    out_dir: str | None,
    backend: str,
    format_name: str | None,
    model: str | None,
    keep_metadata: bool,
    provenance: bool,
    overlay: bool,
    partial: bool,
    reduce: str,
    crop: tuple[int, int, int, int] | None,
    strict: bool,
    max_pixels: int,
    force: bool,
    jobs: int,
    batch: int,
    accept_licence: bool,
    offline: bool,
    **diffusion: Any,
) -> int:
    """Decode .calo files to pictures.

    \b
      calotype decode photo.calo photo.png
      calotype decode --format webp *.calo folder/
      calotype decode - - < photo.calo > photo.png
      calotype decode --reduce 8 --out-dir thumbnails *.calo

    IN is a .calo file, OUT the picture to write; '-' is standard input or output. With several inputs
    OUT is a folder.
    """
    if reduce != "1" and (given := [name for name in ("model", "backend", *DEVICE_NAMES) if is_given(name)]):
        raise click.UsageError(f"{flags(given)} would have no effect with --reduce: no decoder network runs")
    settings = DecodeOptions(
        model=model,
        strict=strict,
        partial=partial,
        keep_metadata=keep_metadata,
        provenance=provenance,
        overlay=overlay,
        reduce=int(reduce),
        box=crop,
        limits=limits_of(max_pixels),
        diffusion=diffusion_of(diffusion, [model], DEVICE_NAMES),
    )
    todo = plan(paths, out_dir, f".{format_name or _DEFAULT_FORMAT}")
    formats = {job: _picture_format_of(job, format_name) for job in todo}
    if model is not None:
        ensure_fetched(console, model, settings.diffusion, accept_licence=accept_licence, offline=offline)
    workers = worker_count(len(todo), jobs, batch)
    codec = calotype.Codec(
        threads_per_worker(workers), backend, settings.diffusion.device, settings.diffusion.dtype
    )

    def make(group: Sequence[Job]) -> Iterator[Made]:
        started = perf_counter()
        files = [read_calotype(job.source, settings.limits) for job in group]
        infos = [calotype.read_info(data, limits=settings.limits, partial=partial) for data in files]
        for job, info in zip(group, infos, strict=True):
            if info.mode.endswith("A") and not formats[job].alpha:
                name = formats[job].pillow
                raise OutputError(
                    f"cannot hold the picture's transparency as {name}: write PNG, WebP or TIFF"
                )
        pictures = codec.decode_many(files, settings, batch=len(group))
        for job, data, info, picture in zip(group, files, infos, pictures, strict=True):
            packed = pack_picture(picture, formats[job])
            seconds = perf_counter() - started
            summary = f"{picture.width}x{picture.height}, {len(data):,} bytes, {seconds:.2f} s"
            if console.verbosity:
                summary += f", {info.mode}, written as {formats[job].pillow} of {len(packed):,} bytes"
                if reduce == "1" and is_embedded(decoder_name(model, SD1.id)):
                    summary += f", on {codec.place}"
            record = {
                "bytes": len(packed),
                "input_bytes": len(data),
                "width": picture.width,
                "height": picture.height,
                "mode": info.mode,
                "bpp": info.bpp,
                "format": formats[job].pillow,
                "seconds": seconds,
            }
            if "partial" in picture.info:
                record["partial"] = picture.info["partial"]
            yield Made(packed, summary, record)
            started = perf_counter()

    return run(todo, make, console, force=force, threads=jobs, batch=batch)


def _picture_format_of(job: Job, name: str | None) -> PictureFormat:
    if name is not None:
        return format_named(name)
    return FORMATS[_DEFAULT_FORMAT] if job.target == STDIO else format_of_path(job.target)
