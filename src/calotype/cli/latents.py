"""``calotype latents``: ``export`` and ``import``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import click

import calotype
from calotype.cli.batch import Made, run
from calotype.cli.common import batch_options, file_arguments, flags, limits_of
from calotype.cli.console import Console
from calotype.cli.files import read_calotype
from calotype.cli.plan import Job, plan
from calotype.cli.sizes import read_size
from calotype.container import EXTENSION
from calotype.errors import CalotypeWarning, SourceError
from calotype.latent_files import CACHE_FORMATS, CachedLatents, pack_cache, unpack_cache
from calotype.latent_files.convert import DEFAULT_SOURCE
from calotype.latents import SD1
from calotype.options import DEFAULT_EFFORT, DEFAULT_QUALITY

__all__ = ["export", "import_", "latents"]

_scaled_option = click.option(
    "--scaled/--unscaled",
    default=False,
    show_default=True,
    help=f"Whether the latents in the cache are multiplied by {SD1.scaling}; those of trainers are not.",
)


@click.group(short_help="Convert .calo files to and from the latent caches of trainers.")
def latents() -> None:
    """Convert .calo files to and from the files in which trainers of Stable Diffusion 1.x cache latents.

    .npz has the layout of kohya-ss/sd-scripts; .safetensors, with the same names, needs 'calotype[latents]'.
    No picture is decoded or encoded.
    """


@latents.command(short_help="Write the latents of .calo files as .npz or .safetensors.")
@file_arguments
@click.option(
    "--format",
    "format_name",
    type=click.Choice(CACHE_FORMATS),
    show_default="by OUT's extension, npz for folders and pipes",
    help="The format of the cache.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="The type of the latents.",
)
@_scaled_option
@click.option(
    "--size-in-names/--plain-names",
    default=False,
    show_default=True,
    help="Put rows and columns of the latents behind the names of the arrays (latents_64x48).",
)
@click.option(
    "--conditional-mean",
    is_flag=True,
    help="Write conditional means, nearer to the encoder's latents, instead of dequantised integers.",
)
@batch_options
@click.pass_obj
def export(
    console: Console,
    /,
    paths: Sequence[str],
    out_dir: str | None,
    format_name: str | None,
    dtype: Literal["float32", "float16"],
    scaled: bool,
    size_in_names: bool,
    conditional_mean: bool,
    max_pixels: int,
    force: bool,
    jobs: int,
    batch: int,
) -> int:
    """Write the latents of .calo files as .npz or .safetensors, one cache file for each.

    \b
      calotype latents export photo.calo photo.npz
      calotype latents export --dtype float16 *.calo cache/
      calotype latents export photo.calo photo.safetensors

    IN is a .calo file, OUT the cache file; '-' is standard input or output. With several inputs OUT is a
    folder.
    """
    limits = limits_of(max_pixels)
    todo = plan(paths, out_dir, f".{format_name or CACHE_FORMATS[0]}")

    def make(group: Sequence[Job]) -> Iterator[Made]:
        for job in group:
            started = perf_counter()
            data = read_calotype(job.source, limits)
            info = calotype.read_info(data, limits=limits)
            if info.scaled:
                warnings.warn(
                    f"the picture is coded at {info.coded_width}x{info.coded_height} pixels, not at "
                    f"{info.width}x{info.height}: so are its latents (encode it with --scale 1)",
                    CalotypeWarning,
                    stacklevel=2,
                )
            values = calotype.read_latents(data, conditional_mean=conditional_mean, limits=limits)
            packed = pack_cache(
                CachedLatents(values, info.coded_width, info.coded_height),
                format_name or _cache_format_of(job.target),
                dtype=dtype,
                scaled=scaled,
                size_in_names=size_in_names,
            )
            yield _describe_latents(packed, len(data), values.shape, perf_counter() - started)

    return run(todo, make, console, force=force, threads=jobs, batch=batch)


@latents.command("import", short_help="Write .calo files of cached latents.")
@file_arguments
@click.option(
    "-q",
    "--quality",
    metavar="0-100",
    type=click.FloatRange(0, 100),
    show_default=f"{DEFAULT_QUALITY:g}",
    help="Quality, higher is better.",
)
@click.option(
    "--step",
    metavar="STEP",
    type=float,
    help="The quantiser's step in scaled latents, 0.044 to 2.83, instead of a quality.",
)
@click.option(
    "--target-size",
    metavar="BYTES",
    callback=read_size,
    help="Largest size of the whole file: 5000, 5kB (5,000), 5KiB (5,120); also MB, MiB.",
)
@click.option(
    "-e",
    "--effort",
    metavar="1-9",
    type=click.IntRange(1, 9),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="Up to 4, latents are only rounded; from 5 on, files are smaller and errors larger.",
)
@click.option(
    "--model",
    metavar="NAME",
    default=DEFAULT_SOURCE,
    show_default=True,
    help="The model whose encoder made the latents; the file names it.",
)
@_scaled_option
@click.option(
    "--size",
    metavar="ROWSxCOLUMNS",
    help="The size of the latents to take from a cache file with several, such as 64x48 (rows, columns).",
)
@batch_options
@click.pass_obj
def import_(
    console: Console,
    /,
    paths: Sequence[str],
    out_dir: str | None,
    scaled: bool,
    size: str | None,
    max_pixels: int,
    force: bool,
    jobs: int,
    batch: int,
    **options: Any,
) -> int:
    """Write .calo files of cached latents, one for each cache file.

    \b
      calotype latents import photo.npz photo.calo
      calotype latents import -q 90 --effort 4 cache/*.npz archive/
      calotype latents import --step 0.1 photo.latent photo.calo

    IN is an .npz or .safetensors file (or a .latent file of ComfyUI), OUT the file to write; '-' is standard
    input or output. With several inputs OUT is a folder. --quality, --step and --target-size exclude each
    other.
    """
    rates = [name for name in ("quality", "step", "target_size") if options[name] is not None]
    if len(rates) > 1:
        raise click.UsageError(f"{flags(rates)} exclude each other: give one")
    limits = limits_of(max_pixels)
    todo = plan(paths, out_dir, EXTENSION)

    def make(group: Sequence[Job]) -> Iterator[Made]:
        for job in group:
            started = perf_counter()
            data = read_calotype(job.source, limits)
            cached, unused = unpack_cache(data, job.source, scaled=scaled, size=size, limits=limits)
            if unused:
                warnings.warn(f"left out: {', '.join(unused)}", CalotypeWarning, stacklevel=2)
            if not cached.looks_scaled_right:
                warnings.warn(
                    f"the deviation of the latents is {cached.scaled.std():.2f}, where photographs have "
                    f"about 1 (is --{'scaled' if scaled else 'unscaled'} right?)",
                    CalotypeWarning,
                    stacklevel=2,
                )
            try:
                packed = calotype.write_latents(
                    cached.scaled, width=cached.width, height=cached.height, limits=limits, **options
                )
            except calotype.CalotypeError:  # Some of them are ValueErrors.
                raise
            except ValueError as error:
                raise SourceError(str(error)) from error
            yield _describe_latents(packed, len(data), cached.scaled.shape, perf_counter() - started)

    return run(todo, make, console, force=force, threads=jobs, batch=batch)


def _cache_format_of(target: str) -> str:
    suffix = Path(target).suffix.lower().removeprefix(".")
    return suffix if suffix in CACHE_FORMATS else CACHE_FORMATS[0]


def _describe_latents(packed: bytes, input_bytes: int, shape: tuple[int, ...], seconds: float) -> Made:
    rows, columns = shape[1:]
    summary = f"latents of {rows}x{columns}, {input_bytes:,} to {len(packed):,} bytes, {seconds:.2f} s"
    record = {"bytes": len(packed), "input_bytes": input_bytes, "rows": rows, "columns": columns}
    return Made(packed, summary, {**record, "seconds": seconds})
