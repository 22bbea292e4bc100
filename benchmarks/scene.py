"""One picture and its coded versions, which several measurements share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.judges import Judges
from benchmarks.networks import Taesd
from benchmarks.pictures import ASSETS
from benchmarks.recipe import Recipe2022
from calotype.compare.codecs import CODECS, CalotypeCodec, Codec, Coded
from calotype.compare.metrics import Lpips, Psnr, Ssimulacra2
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.entropy import ContextModel
from calotype.imaging import resample_picture
from calotype.latents import SD1, log_step_map
from calotype.limits import Limits
from calotype.models import (
    DEFAULT_CONTEXT_MODEL,
    Decoder,
    Encoder,
    load_context_model,
    load_decoder,
    load_encoder,
    load_post_filter,
)
from calotype.models.tiling import encode_tiled
from calotype.options import DiffusionOptions

__all__ = ["CALOTYPE", "LPIPS_GRAPH", "MODELS", "OTHERS", "Kit", "Model", "Scene"]

LPIPS_GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"

CALOTYPE = "calotype"
_RECIPE = "recipe-2022"
OTHERS = ("avif", "webp", "jpeg", "jxl", _RECIPE)
"""The codecs whose figures do not depend on the weights."""

Model = Literal["pocket", "taesd"]
MODELS: tuple[Model, ...] = ("pocket", "taesd")

_Made = TypeVar("_Made")


class Kit:
    """The codecs and the metrics, on one thread; each is loaded when it is first used."""

    def __init__(self) -> None:
        self._codecs: dict[str, Codec] = {}

    def codec(self, name: str) -> Codec:
        """Returns one of ``CALOTYPE`` and ``OTHERS``.

        Raises ``calotype.ModelError``, ``FileNotFoundError`` or ``ImportError`` if it cannot run here.
        """
        if name not in self._codecs:
            if name == CALOTYPE:
                self._codecs[name] = CalotypeCodec(threads=1)
            elif name == _RECIPE:
                self._codecs[name] = Recipe2022(self.taesd)
            else:
                self._codecs[name] = CODECS[name](1, "pocket", DiffusionOptions())
        return self._codecs[name]

    @cached_property
    def taesd(self) -> Taesd:
        return Taesd(threads=1)

    @cached_property
    def encoder(self) -> Encoder:
        return load_encoder("pocket", threads=1)

    @cached_property
    def decoder(self) -> Decoder:
        return load_decoder("pocket", SD1.id, threads=1)

    @cached_property
    def context(self) -> ContextModel:
        return load_context_model(DEFAULT_CONTEXT_MODEL)

    @cached_property
    def judges(self) -> Judges:
        return Judges()

    @cached_property
    def psnr(self) -> Psnr:
        return Psnr()

    @cached_property
    def lpips(self) -> Lpips:
        return Lpips(LPIPS_GRAPH, threads=1)

    @cached_property
    def ssimulacra2(self) -> Ssimulacra2:
        return Ssimulacra2()


class Scene:
    """A picture ``rgb`` uint8[H, W, 3], with sides that are multiples of 32, and its coded versions."""

    def __init__(self, rgb: NDArray[np.uint8], kit: Kit) -> None:
        self.rgb, self.kit = rgb, kit
        self._made: dict[Hashable, Any] = {}

    def _once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        if key not in self._made:
            self._made[key] = make()
        cached: _Made = self._made[key]
        return cached

    def bytes_within(self, budget: int) -> int:
        """Returns the bytes that correspond to ``budget``, the bytes of a file at 512x512, by area."""
        return max(budget * self.rgb.shape[0] * self.rgb.shape[1] // 512**2, 1)

    def coded(self, budget: int) -> Coded:
        """Returns Calotype's file at the default effort, and its decoded picture."""

        def make() -> Coded:
            (coded,) = self.kit.codec(CALOTYPE).compress(self.rgb, [self.bytes_within(budget)])
            return coded

        return self._once(("coded", budget), make)

    def through_taesd(self, budget: int) -> NDArray[np.uint8]:
        """Returns the picture uint8[H, W, 3] that TAESD's decoder makes of Calotype's file."""
        parsed = parse_file(self.coded(budget).data, limits=Limits())
        decoded = decode_latents(parsed)
        post_filter = load_post_filter(parsed.header.encoder, threads=1)
        assert post_filter is not None
        latents = post_filter(decoded.latents, log_step_map(decoded.levels), decoded.conditional_mean)
        width, height = parsed.header.coded_size
        decoded = self.kit.taesd.decode(latents)[:height, :width]
        return resample_picture(decoded, self.rgb.shape[1], self.rgb.shape[0])

    def latents(self, encoder: Model) -> NDArray[np.float32]:
        """Returns the scaled latents of an encoder, not quantised, float32[4, H/8, W/8]."""

        def make() -> NDArray[np.float32]:
            if encoder == "taesd":
                return self.kit.taesd.encode(self.rgb)
            return encode_tiled(self.kit.encoder, self.rgb)

        return self._once(("latents", encoder), make)
