"""The options of the encoder, for every command that encodes."""

from __future__ import annotations

from typing import Any

import click

from calotype.cli.common import Command, backend_option, flags, is_given, limits_of, model_option
from calotype.cli.diffusion import DEVICE_NAMES, diffusion_of, diffusion_options
from calotype.cli.paths import PathType
from calotype.cli.sizes import read_size
from calotype.options import DEFAULT_EFFORT, DEFAULT_QUALITY, EncodeOptions

__all__ = ["encoder_options", "encoder_options_without_rate", "settings_of"]


def encoder_options(command: Command) -> Command:
    """Adds the fields of :class:`EncodeOptions`, ``--backend`` and the options of Stable Diffusion."""
    for decorate in (
        encoder_options_without_rate,
        click.option(
            "--bpp", metavar="BITS", type=float, help="Largest size of the whole file, in bits per pixel."
        ),
        click.option(
            "--target-size",
            metavar="BYTES",
            callback=read_size,
            help="Largest size of the whole file: 5000, 5kB (5,000), 5KiB (5,120); also MB, MiB.",
        ),
        click.option(
            "-q",
            "--quality",
            metavar="0-100",
            type=click.FloatRange(0, 100),
            show_default=f"{DEFAULT_QUALITY:g}, about 0.15 bits per pixel",
            help="Quality, higher is better.",
        ),
    ):
        command = decorate(command)
    return command


def encoder_options_without_rate(command: Command) -> Command:
    """Adds the options of :func:`encoder_options` without ``--quality``, ``--target-size`` and ``--bpp``."""
    for decorate in (
        diffusion_options(decoding=False),
        backend_option,
        click.option(
            "--lpips",
            metavar="FILE",
            type=PathType(exists=True),
            help="Effort 9: the ONNX graph of LPIPS, to optimise that metric as well.",
        ),
        click.option(
            "--time-limit",
            metavar="SECONDS",
            type=float,
            default=EncodeOptions.time_limit,
            show_default=True,
            help="Effort 9: the time to optimise a picture.",
        ),
        click.option(
            "--decoder",
            metavar="NAME",
            help="Effort 9: optimise for this decoder instead of the default one.",
        ),
        click.option(
            "--protect",
            type=click.Choice(["auto", "faces", "text", "none"]),
            multiple=True,
            default=[EncodeOptions.protect],
            show_default=True,
            help="Protect faces, or text (needs calotype[truth]), by finer latents or patches coded by AV1."
            " auto takes text if it can. May be given several times.",
        ),
        click.option(
            "--recipe",
            type=click.Choice(["hierarchical", "palette"]),
            default=EncodeOptions.recipe,
            show_default=True,
            help="The coding of the latents. palette is that of 2022: 256 colours, and one size.",
        ),
        click.option(
            "--strict",
            is_flag=True,
            help="Refuse animations and other pictures that would be encoded with a warning.",
        ),
        click.option(
            "--keep-metadata/--strip",
            default=False,
            show_default=True,
            help="Keep EXIF (which may hold the GPS position), XMP and the colour profile, or drop them.",
        ),
        click.option(
            "--record",
            is_flag=True,
            help="Record which parts of the decoded picture are uncertain, in at most 3 % of the file.",
        ),
        model_option("The encoder; 'calotype models' lists them.", default=EncodeOptions.model),
        click.option(
            "-e",
            "--effort",
            metavar="1-9",
            type=click.IntRange(1, 9),
            default=DEFAULT_EFFORT,
            show_default=True,
            help="1 is fastest, 8 searches longest;"
            " 9 also optimises the latents by gradient descent, with torch.",
        ),
        click.option(
            "--scale",
            metavar="0.125-2",
            type=click.FloatRange(0.125, 2),
            show_default="the best one: less than 1 for few bytes, more for many",
            help="Scale width and height by this factor before coding; the decoder scales the picture back.",
        ),
    ):
        command = decorate(command)
    return command


def settings_of(options: dict[str, Any], max_pixels: int) -> EncodeOptions:
    """Returns the values of :func:`encoder_options`, without those of fetching weights.

    Raises ``click.UsageError`` and :class:`ModelError`.
    """
    _check_given(options)
    diffusion = diffusion_of(options, [options["model"], options["decoder"]], DEVICE_NAMES)
    try:
        return EncodeOptions(diffusion=diffusion, limits=limits_of(max_pixels), **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _check_given(options: dict[str, Any]) -> None:
    rates = [name for name in ("quality", "target_size", "bpp") if options[name] is not None]
    if len(rates) > 1:
        raise click.UsageError(f"{flags(rates)} exclude each other: give one")
    unused = [name for name in ("decoder", "time_limit", "lpips") if is_given(name)]
    if unused and options["effort"] != 9:
        raise click.UsageError(f"{flags(unused)} would have no effect: only effort 9 optimises (add -e 9)")
