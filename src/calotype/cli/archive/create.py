"""``calotype archive create``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from calotype.archive import Counts, RayEngine, RaySettings, Settings, Work
from calotype.archive import create as create_archive
from calotype.archive.sources import PictureCounter
from calotype.cli.archive.options import measuring_options, part_size_option, workers_option
from calotype.cli.archive.running import INTERRUPTED, duration, shown, stopped_by_signals
from calotype.cli.coding import encoder_options, settings_of
from calotype.cli.common import flags, is_given, max_pixels_option, talk_options
from calotype.cli.console import Console
from calotype.cli.diffusion import ensure_fetched
from calotype.cli.paths import PathType

__all__ = ["create"]


@click.command(short_help="Archive the pictures of folders, lists, tar files and URLs.")
@click.argument("sources", nargs=-1, required=True, metavar="SRC... DST", type=PathType())
@encoder_options
@workers_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Encode by processes of this machine, or on a Ray cluster: that of RAY_ADDRESS, or one that the"
    " command starts here. It needs 'calotype[ray]'.",
)
@click.option(
    "--ray-cpus",
    metavar="N",
    type=click.FloatRange(min=0, min_open=True),
    default=RaySettings.encoder_cpus,
    show_default=True,
    help="Ray: the number of CPUs to reserve for each encoder; it computes on one.",
)
@click.option(
    "--ray-gpus",
    metavar="N",
    type=click.FloatRange(min=0),
    default=RaySettings.encoder_gpus,
    show_default=True,
    help="Ray: the number of GPUs, or the fraction of one, to reserve for each encoder whose model uses it.",
)
@click.option(
    "--ray-read-cpus",
    metavar="N",
    type=click.FloatRange(min=0),
    default=RaySettings.reader_cpus,
    show_default=True,
    help="Ray: CPUs that each task that reads is given; there are as many as encoders.",
)
@click.option(
    "--ray-write-cpus",
    metavar="N",
    type=click.FloatRange(min=0),
    default=RaySettings.writer_cpus,
    show_default=True,
    help=f"Ray: CPUs that each task that writes a part is given; there are up to {RaySettings.writers}.",
)
@part_size_option
@click.option(
    "--on-error",
    type=click.Choice(["skip", "stop"]),
    default=Settings.on_error,
    show_default=True,
    help="After a picture that fails: record it in the errors table and go on, or end the run.",
)
@click.option("--retry-errors", is_flag=True, help="Try the pictures of the errors table again.")
@click.option(
    "--dedupe", is_flag=True, help="Store pictures once if their source files have the same bytes (SHA-256)."
)
@measuring_options
@click.option(
    "--verify",
    type=click.Choice(["checksum", "decode"]),
    default=Settings.verify,
    show_default=True,
    help="How a part that was read back is checked: by the SHA-256 of what the encoder has verified, or by"
    " decoding all latents once more.",
)
@max_pixels_option
@talk_options
@click.pass_obj
def create(
    console: Console,
    /,
    sources: Sequence[str],
    workers: int | None,
    engine: str,
    ray_cpus: float,
    ray_gpus: float,
    ray_read_cpus: float,
    ray_write_cpus: float,
    part_size: int,
    on_error: Any,
    retry_errors: bool,
    dedupe: bool,
    scores: tuple[str, ...],
    keep_originals_over: float | None,
    thumbnail: int | None,
    verify: Any,
    backend: str,
    max_pixels: int,
    accept_licence: bool,
    offline: bool,
    **options: Any,
) -> int:
    """Archive the pictures of SRC in the folder or URL DST; go on where an earlier run ended.

    \b
      calotype archive create photos/ archive/
      calotype archive create --bpp 0.1 list.csv more/*.jpg s3://bucket/archive
      calotype archive create 'shard-{000..099}.tar' archive/

    SRC is a folder, a picture, a pattern, a manifest (.csv, .tsv, .parquet with a column uri, or .txt with
    one address a line), a tar file or WebDataset shard, or the URL of any of them. Pictures that are in the
    archive are left alone, so that the same command continues after an interruption and changes nothing when
    it is run again.
    """
    if len(sources) < 2:
        raise click.UsageError(f"there is no archive: add DST after '{sources[0]}'")
    *sources, destination = sources
    encoding = settings_of(options, max_pixels)
    ensure_fetched(
        console, encoding.model, encoding.diffusion, accept_licence=accept_licence, offline=offline
    )
    work = Work(encoding, backend, scores, keep_originals_over, thumbnail)
    settings = Settings(
        work,
        workers,
        part_size,
        dedupe=dedupe,
        on_error=on_error,
        retry_errors=retry_errors,
        verify=verify,
    )
    given = [name for name in ("ray_cpus", "ray_gpus", "ray_read_cpus", "ray_write_cpus") if is_given(name)]
    if given and engine != "ray":
        raise click.UsageError(f"{flags(given)} would have no effect without --engine ray")
    ray = RaySettings(
        workers,
        encoder_cpus=ray_cpus,
        encoder_gpus=ray_gpus,
        reader_cpus=ray_read_cpus,
        writer_cpus=ray_write_cpus,
    )
    chosen = RayEngine(work, ray) if engine == "ray" else None
    counter = PictureCounter(sources if console.shows_progress else [])
    with stopped_by_signals() as stop, console.status() as show, counter:
        counts = create_archive(
            sources,
            destination,
            settings,
            engine=chosen,
            stop=stop,
            progress=shown(show, lambda counts: _run_state(counts, counter.total)),
        )
    console.note(_run_summary(counts))
    console.record({"archive": destination, "ok": not counts.failed, **asdict(counts)})
    if counts.interrupted:
        console.note("calotype: interrupted: what is finished is in the archive; repeat the command to go on")
        return INTERRUPTED
    if counts.failed:
        console.error(
            f"{counts.failed:,} pictures failed: 'calotype archive list --errors {destination}' says why, and"
            " --retry-errors tries them again"
        )
    return 1 if counts.failed else 0


def _run_state(counts: Counts, total: int | None) -> str:
    """Returns the line that shows the progress; ``total`` pictures are to be archived, as far as is known."""
    rate = counts.archived / counts.seconds if counts.seconds else 0.0
    of = f" of {total:,}" if total is not None else ""
    text = f"{counts.input:,}{of} pictures, {rate:.2f} a second, {_megabytes_in_and_out(counts)}"
    if counts.failed:
        text += f", {counts.failed:,} failed"
    if total is not None and rate:
        text += f", {duration((total - counts.input) / rate)} left"
    return text


def _megabytes_in_and_out(counts: Counts) -> str:
    ratio = f" (1/{counts.bytes_in / counts.bytes_out:.0f})" if counts.bytes_out else ""
    return f"{counts.bytes_in / 1e6:,.1f} MB in, {counts.bytes_out / 1e6:,.1f} MB out{ratio}"


def _run_summary(counts: Counts) -> str:
    parts = [
        (counts.archived, "archived"),
        (counts.already, "there already"),
        (counts.failed, "failed"),
        (counts.failed_before, "failed before"),
    ]
    listed = ", ".join(f"{number:,} {what}" for number, what in parts if number) or "nothing to do"
    among = [(counts.duplicates, "duplicates"), (counts.originals, "originals kept")]
    extra = ", ".join(f"{number:,} {what}" for number, what in among if number)
    text = f"{counts.input:,} pictures: {listed}" + (f" (of these {extra})" if extra else "")
    if counts.ignored:
        text += f"; {counts.ignored:,} other files left out"
    return f"{text}; {_megabytes_in_and_out(counts)}, {counts.seconds:.1f} s"
