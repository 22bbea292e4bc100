"""The palette coding of 2022 stage by stage, with any model of the latent space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.compare.codecs.base import decode_with_pillow
from calotype.compare.metrics import UnmeasurableError, available_metrics
from calotype.encoding.prepare import pad_to_latent_blocks
from calotype.experiments.variants import coding_variants, lowest_quality_of_size
from calotype.latents import SD1, level_of_rounding_error, log_step_map
from calotype.models import Decoder, DecoderInput, load_decoder, load_encoder, model_id
from calotype.models.stable_diffusion import fetched_model
from calotype.models.tiling import decode_tiled, encode_tiled
from calotype.options import DiffusionOptions

__all__ = ["Experiment", "Result", "Settings", "run_experiment"]

Pixels = NDArray[np.uint8]

_DENOISE_TIMESTEP, _DENOISE_STEPS = 16, 2
"""The denoising of 2022: a strength of 0.04 of 66 scheduler steps, which is the last two of them, from
timestep 16 of 1,000."""


@dataclass(frozen=True)
class Settings:
    """The settings of an experiment.

    ``model`` encodes and decodes. ``also`` names further variants: see
    :func:`calotype.experiments.variants.coding_variants`. ``lpips`` is the path of that metric's ONNX graph.
    """

    model: str = "pocket"
    also: tuple[str, ...] = ()
    lpips: Path | None = None
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)


@dataclass(frozen=True, eq=False)
class Result:
    """One stage: its ``size`` in bytes, its picture ``rgb`` uint8[H, W, 3], and its figures by metric."""

    name: str
    title: str
    size: int
    rgb: Pixels
    figures: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Experiment:
    """The results of an experiment. ``missing`` gives the reason for each metric without figures."""

    model: str
    original: Pixels
    results: tuple[Result, ...]
    missing: Mapping[str, str]
    file: bytes
    """The .calo file of the picture in the palette coding."""


def run_experiment(
    rgb: Pixels, settings: Settings, progress: Callable[[], None] = lambda: None
) -> Experiment:
    """Runs every stage for the picture ``rgb`` uint8[H, W, 3]; ``progress`` is called after each.

    Raises :class:`ModelError`.
    """
    model_id(settings.model)
    metrics, missing = available_metrics(settings.lpips)
    missing = dict(missing)
    height, width = rgb.shape[:2]
    plain = replace(settings.diffusion, denoise="off")
    latents = encode_tiled(load_encoder(settings.model, diffusion=plain), pad_to_latent_blocks(rgb))
    decoders = [("", "", load_decoder(settings.model, SD1.id, diffusion=plain))]
    if _has_unet(settings.model):
        denoising = replace(settings.diffusion, denoise=_DENOISE_TIMESTEP, steps=_DENOISE_STEPS)
        decoders.append(
            ("-denoised", ", denoised", load_decoder(settings.model, SD1.id, diffusion=denoising))
        )
    results = []

    def add(name: str, title: str, size: int, picture: Pixels) -> None:
        figures = {}
        for metric, measure in metrics.items():
            try:
                figures[metric] = measure(rgb, picture)
            except UnmeasurableError as error:
                missing[metric] = str(error)
        results.append(Result(name, title, size, picture, figures))
        progress()

    palette_size = 0
    for variant in coding_variants(latents, settings.also):
        for suffix, remark, decoder in decoders:
            picture = _decode_with_noise(decoder, latents, variant.latents)[:height, :width]
            add(variant.name + suffix, variant.title + remark, variant.size, picture)
        if variant.name == "zlib-dithered":
            palette_size = variant.size
    for format_name in ("JPEG", "WEBP"):
        data = lowest_quality_of_size(Image.fromarray(rgb), format_name, palette_size)
        title = f"the picture as {'JPEG' if format_name == 'JPEG' else 'WebP'}"
        add(f"picture-{format_name.lower()}", title, len(data), decode_with_pillow(data))
    file = calotype.encode(rgb, recipe="palette", model=settings.model, diffusion=plain)
    return Experiment(settings.model, rgb, tuple(results), missing, file)


def _has_unet(model: str) -> bool:
    source = fetched_model(model)
    return source is not None and any(part.name == "unet" for part in source.parts)


def _decode_with_noise(decoder: Decoder, latents: NDArray[np.float32], coded: NDArray[np.float32]) -> Pixels:
    """Decodes ``coded``; the decoder receives the deviation of the noise that coding added to ``latents``."""
    error = coded - latents
    level = level_of_rounding_error(float(error.std()))
    levels = np.full(latents.shape[1:], level, np.int64)
    noise = error.std((1, 2)).astype(np.float64)
    return decode_tiled(decoder, DecoderInput(coded, log_step_map(levels), noise, conditional_mean=coded))
