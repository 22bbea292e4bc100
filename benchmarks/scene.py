"""One picture, coded in every way that the measurements ask for, each of them once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.features import FeatureDistance
from benchmarks.networks import Taesd
from benchmarks.pictures import ASSETS
from calotype.codec import Codec
from calotype.compare.metrics import Lpips, Psnr, Ssimulacra2
from calotype.container import parse
from calotype.decoding import decode_latents
from calotype.encoding import encode_latents
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import prepare
from calotype.encoding.resolution import code_at_best_scale
from calotype.encoding.write import write
from calotype.entropy import ContextModel
from calotype.imaging import load_picture, resized
from calotype.latents import FINEST, SD1, channel_steps, dequantise, log_step_map, noise_deviations
from calotype.limits import Limits
from calotype.models import (
    DEFAULT_TABLE,
    Decoder,
    DecoderInput,
    Encoder,
    load_decoder,
    load_encoder,
    load_table,
)
from calotype.models.tiling import decode_tiled, encode_tiled
from calotype.options import EncodeOptions

__all__ = ["LPIPS_GRAPH", "FileRate", "Kit", "Model", "Rate", "Scene"]

LPIPS_GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"

Model = Literal["pocket", "taesd"]
FileRate = int | Literal["2022"]
"""Bytes of the whole file at most, or the recipe of 2022."""
Rate = FileRate | Literal["exact", "finest"]
"""Or without a file: latents as the encoder gave them, or rounded at the finest level."""

_Made = TypeVar("_Made")


class _AsEncoder:
    """TAESD as the codec's own functions call an encoder."""

    margin = None

    def __init__(self, taesd: Taesd) -> None:
        self._taesd = taesd

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._taesd.encode(np.round(255 * pixels.transpose(1, 2, 0)).astype(np.uint8))


class Kit:
    """What measures and what is measured, on one thread; each is loaded when first used."""

    @cached_property
    def taesd(self) -> Taesd:
        return Taesd(threads=1)

    @cached_property
    def codec(self) -> Codec:
        return Codec(threads=1)

    @cached_property
    def encoder(self) -> Encoder:
        return load_encoder("pocket", threads=1)

    @cached_property
    def decoder(self) -> Decoder:
        return load_decoder("pocket", SD1.id, threads=1)

    @cached_property
    def context(self) -> ContextModel:
        return load_table(DEFAULT_TABLE)

    @cached_property
    def metrics(self) -> dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]]:
        return {
            "psnr": Psnr(),
            "lpips": Lpips(LPIPS_GRAPH, threads=1),
            "ssimulacra2": Ssimulacra2(),
            "features": FeatureDistance(),
        }


class Scene:
    """``rgb`` uint8[H, W, 3], sides multiples of 32, and what becomes of it."""

    def __init__(self, rgb: NDArray[np.uint8], kit: Kit) -> None:
        self.rgb, self.kit = rgb, kit
        self._made: dict[Hashable, Any] = {}

    def _once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]
        return made

    def latents(self, encoder: Model) -> NDArray[np.float32]:
        """float32[4, H/8, W/8], scaled."""

        return self._once(("latents", encoder), lambda: self._encoded(encoder, self.rgb))

    def _encoded(self, encoder: Model, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.kit.taesd.encode(rgb) if encoder == "taesd" else encode_tiled(self.kit.encoder, rgb)

    def file(self, encoder: Model, rate: FileRate) -> bytes:
        """A whole file at the default effort or by the recipe of 2022; pocket's is what anybody gets."""
        options = EncodeOptions(
            recipe="palette" if rate == "2022" else "lattice",
            target_size=rate if isinstance(rate, int) else None,
        )

        def make() -> bytes:
            if encoder == "pocket":
                return self.kit.codec.encode(self.rgb, options)
            # The header names pocket as the encoder, a number in the file, which changes nothing here.
            picture = load_picture(self.rgb, limits=options.limits, strict=options.strict)
            source, latents = prepare(picture, options), self.latents(encoder)
            if rate == "2022":
                return encode_latents(latents, source.header, options)
            plan = Plan.of(options, self.rgb.shape[1], self.rgb.shape[0])
            return write(code_at_best_scale(latents, source, plan, _AsEncoder(self.kit.taesd)))

        return self._once(("file", encoder, rate), make)

    def picture(self, encoder: Model, rate: Rate, decoder: Model) -> NDArray[np.uint8]:
        """uint8[H, W, 3]: encoded by one, coded at ``rate``, decoded by the other."""
        return self._once(("picture", encoder, rate, decoder), lambda: self._picture(encoder, rate, decoder))

    def _picture(self, encoder: Model, rate: Rate, decoder: Model) -> NDArray[np.uint8]:
        latents = expected = self.latents(encoder)
        levels = np.full(latents.shape[1:], FINEST, np.int64)
        noise = np.zeros(4)
        width, height = self.rgb.shape[1], self.rgb.shape[0]
        if rate == "finest":
            integers = np.round(latents / channel_steps(levels)).astype(np.int16)
            latents = expected = dequantise(integers, levels)
        elif rate != "exact":
            parsed = parse(self.file(encoder, rate), limits=Limits())
            found = decode_latents(parsed)
            latents, levels, expected = found.latents, found.levels, found.conditional_mean
            noise = noise_deviations(parsed.header.noise, found.levels)
            width, height = parsed.header.coded_size
        if decoder == "taesd":
            picture = self.kit.taesd.decode(expected)
        else:
            coded = DecoderInput(latents, log_step_map(levels), noise, expected)
            picture = decode_tiled(self.kit.decoder, coded)
        return resized(picture[:height, :width], self.rgb.shape[1], self.rgb.shape[0])

    def figures(self, name: str, picture: NDArray[np.uint8], *metrics: str) -> dict[str, float]:
        """``{"name.metric": value}`` of ``picture`` against the original."""
        return {f"{name}.{metric}": self.kit.metrics[metric](self.rgb, picture) for metric in metrics}
