"""``calotype archive plan``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import click

from calotype.archive import Plan, PlanSettings, Prediction, Work
from calotype.archive import plan as plan_archive
from calotype.archive.planning.estimate import CONFIDENCE, Estimate
from calotype.cli.archive.options import measuring_options, part_size_option, workers_option
from calotype.cli.archive.running import duration, shown, stopped_by_signals
from calotype.cli.coding import encoder_options_without_rate, settings_of
from calotype.cli.common import flags, max_pixels_option, talk_options
from calotype.cli.console import Console
from calotype.cli.diffusion import ensure_fetched
from calotype.cli.paths import PathType
from calotype.cli.sizes import parse_size
from calotype.cores import available_cores
from calotype.options import EncodeOptions

__all__ = ["plan"]

_QUALITIES = "30,50,70"

Rates = dict[str, list[Any]]


def _list_of(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], list[Any]]:
    """Returns the callback of an option that takes several values with commas between them."""

    def callback(_ctx: click.Context, _param: click.Parameter, text: str | None) -> list[Any]:
        try:
            return [read(word.strip()) for word in (text or "").split(",") if word.strip()]
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


@click.command(short_help="Predict what an archive would take, from a sample.")
@click.argument("sources", nargs=-1, required=True, metavar="SRC...", type=PathType())
@click.option(
    "-q",
    "--quality",
    "qualities",
    metavar="0-100,...",
    callback=_list_of(float),
    show_default=_QUALITIES,
    help="Qualities to compare.",
)
@click.option(
    "--target-size",
    "target_sizes",
    metavar="BYTES,...",
    callback=_list_of(parse_size),
    help="Largest sizes of a file to compare: 2500,5kB.",
)
@click.option(
    "--bpp",
    "bpps",
    metavar="BITS,...",
    callback=_list_of(float),
    help="Largest sizes in bits per pixel to compare.",
)
@click.option(
    "--precision",
    metavar="PERCENT",
    type=click.FloatRange(min=0.1, max=100),
    default=100 * PlanSettings.precision,
    show_default=True,
    help="Encode pictures until the predicted bytes are known to this percentage, with 95 % confidence.",
)
@click.option(
    "--least",
    metavar="N",
    type=click.IntRange(min=1),
    default=PlanSettings.least,
    show_default=True,
    help="Smallest number of pictures to encode.",
)
@click.option(
    "--most",
    metavar="N",
    type=click.IntRange(min=1),
    default=PlanSettings.most,
    show_default=True,
    help="Largest number of pictures to encode.",
)
@click.option(
    "--seed",
    metavar="N",
    type=int,
    default=0,
    show_default=True,
    help="The seed of the sample: another seed draws another one.",
)
@click.option(
    "--cores",
    metavar="N",
    type=click.IntRange(min=1),
    show_default="those of this machine",
    help="The number of cores for which the time is predicted.",
)
@part_size_option
@workers_option
@measuring_options
@encoder_options_without_rate
@max_pixels_option
@talk_options
@click.pass_obj
def plan(
    console: Console,
    /,
    sources: Sequence[str],
    qualities: list[float],
    target_sizes: list[int],
    bpps: list[float],
    precision: float,
    least: int,
    most: int,
    seed: int,
    cores: int | None,
    part_size: int,
    workers: int | None,
    scores: tuple[str, ...],
    keep_originals_over: float | None,
    thumbnail: int | None,
    backend: str,
    max_pixels: int,
    accept_licence: bool,
    offline: bool,
    **options: Any,
) -> int:
    """Predict the bytes, the time and the scores of an archive of SRC from a sample.

    \b
      calotype archive plan photos/
      calotype archive plan -q 20,40,60 --scores psnr,ssimulacra2 list.csv
      calotype archive plan --bpp 0.05,0.1 --cores 640 's3://bucket/**/*.jpg'

    The list of the sources is read to its end. The sizes of up to 4,000 pictures, drawn at random, are read,
    and some of these are encoded with each setting. Nothing is written. Ranges hold the true value with 95 %
    confidence, if the sources are like the sample.
    """
    if least > most:
        raise click.UsageError(f"{flags(['least'])} (={least}) must be at most {flags(['most'])} (={most})")
    rates: Rates = {"quality": qualities, "target_size": target_sizes, "bpp": bpps}
    if not any(rates.values()):
        rates["quality"] = [float(quality) for quality in _QUALITIES.split(",")]
    works = tuple(
        Work(_encoding(options, name, value, max_pixels), backend, scores, keep_originals_over, thumbnail)
        for name, values in rates.items()
        for value in values
    )
    first = works[0].options
    ensure_fetched(console, first.model, first.diffusion, accept_licence=accept_licence, offline=offline)
    settings = PlanSettings(
        works, precision / 100, least, most, workers=workers, seed=seed, part_size=part_size
    )
    with stopped_by_signals() as stop, console.status() as show:
        show("listing the sources")
        tell = shown(show, "{0[1]:,} pictures {0[0]}".format)
        made = plan_archive(sources, settings, stop=stop, progress=lambda *state: tell(state))
    for prediction in made.predictions:
        console.record(_record(made, prediction))
    if not console.json:
        _print(console, made, cores or available_cores())
    return 0


def _encoding(options: dict[str, Any], name: str, value: Any, max_pixels: int) -> EncodeOptions:
    rate = dict.fromkeys(("quality", "target_size", "bpp")) | {name: value}
    return settings_of(options | rate, max_pixels)


def _print(console: Console, plan: Plan, cores: int) -> None:
    console.result(
        f"{plan.pictures:,} pictures, {_range(plan.source_bytes, _size)}, {_range(plan.pixels, _megapixels)}"
    )
    problems = f"; {plan.problems:,} addresses cannot be listed" if plan.problems else ""
    ignored = f"; {plan.ignored:,} other files left out" if plan.ignored else ""
    how = "all" if plan.encoded == plan.pictures else "a random sample"
    console.result(f"encoded with each setting: {plan.encoded:,} ({how}){problems}{ignored}")
    if plan.reasons:
        failed = plan.predictions[0].failed
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in plan.reasons.items())
        console.result(f"cannot be archived: {_range(failed, _percent)} ({kinds} in the sample)")
    for prediction in plan.predictions:
        size, time = prediction.archive_bytes, prediction.core_seconds
        console.result(f"\n{_setting(prediction)}")
        console.result(f"  archive      {_range(size, _size)}")
        if size.value and plan.pictures:
            ratio = plan.source_bytes.value / size.value
            bytes_of_picture = prediction.payload_bytes.value / plan.pictures
            console.result(
                f"  ratio        1/{ratio:,.1f} of the source, {bytes_of_picture:,.0f} bytes a picture"
            )
        taken = _range(time.times(1 / cores), duration)
        console.result(f"  time         {taken} on {cores:,} cores like these")
        for name, score in prediction.scores.items():
            console.result(f"  {name:<12} {_range(score, '{:.2f}'.format)}, mean")
        if prediction.originals.value:
            console.result(f"  originals    {_range(prediction.originals, _percent)} kept")


def _setting(prediction: Prediction) -> str:
    options = prediction.work.options
    if options.target_size is not None:
        return f"--target-size {options.target_size}"
    return f"--bpp {options.bpp:g}" if options.bpp is not None else f"--quality {options.quality:g}"


def _record(plan: Plan, prediction: Prediction) -> dict[str, Any]:
    options = prediction.work.options
    rate = {name: getattr(options, name) for name in ("quality", "target_size", "bpp")}
    known = {name: value for name, value in asdict(plan).items() if name != "predictions"}
    figures = {name: value for name, value in asdict(prediction).items() if name != "work"}
    return {"ok": True, "confidence": CONFIDENCE, **rate, **known, **figures}


def _range(estimate: Estimate, text_of: Callable[[float], str]) -> str:
    value, low, high = map(text_of, (estimate.value, estimate.low, estimate.high))
    return value if low == high else f"{value} ({low} to {high})"


def _size(count: float) -> str:
    for factor, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:,.2f} {unit}"
    return f"{count:,.0f} bytes"


def _megapixels(count: float) -> str:
    return f"{count / 1e6:,.1f} megapixels"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
