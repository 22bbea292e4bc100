"""A cache of models, which loads each once, at its first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from calotype.models.features import FeatureNetwork
from calotype.models.loaders import (
    load_decoder,
    load_encoder,
    load_face_finder,
    load_features,
    load_text_finder,
)
from calotype.models.places import CPU, Place, choose_place
from calotype.models.products import has_exact_int8
from calotype.models.protocol import Decoder, Encoder, FaceFinder
from calotype.models.registry import decoder_name, is_embedded
from calotype.models.text_finder import TextFinder
from calotype.options import DEFAULT_BACKEND, DiffusionOptions

__all__ = ["ModelCache"]


class ModelCache:
    """A cache of models, which threads may share. Its methods raise :class:`ModelError`."""

    def __init__(
        self,
        threads: int | None = None,
        backend: str = DEFAULT_BACKEND,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        """For the arguments see :class:`calotype.Codec`."""
        self._threads, self._asked = threads, (device, dtype, backend)
        self._exact = dtype != "auto"
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Hashable, ...], Any] = {}

    def _once(self, key: tuple[Hashable, ...], load: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load()
            return self._loaded[key]

    def place(self) -> Place:
        """Returns where the embedded networks are computed."""
        place: Place = self._once(("place",), lambda: choose_place(*self._asked))
        return place

    def encoder(self, name: str, diffusion: DiffusionOptions) -> Encoder:
        """Returns the encoder of the model ``name``."""
        place = self._place_in_encoder(name)
        encoder: Encoder = self._once(
            ("encoder", name, diffusion),
            lambda: load_encoder(name, self._threads, diffusion, place),
        )
        return encoder

    def decoder(
        self, name: str | None, space: int, diffusion: DiffusionOptions, encoder: int | None = None
    ) -> Decoder:
        """Returns the decoder of the model ``name``; None selects the default one of the latent space.

        ``encoder`` is the id of the latents' encoder: see :func:`load_decoder`.
        """
        model = decoder_name(name, space)
        place = self._place_of(model)
        encoder = None if is_embedded(model) else encoder
        decoder: Decoder = self._once(
            ("decoder", model, space, diffusion, encoder),
            lambda: load_decoder(name, space, self._threads, diffusion, place, encoder=encoder),
        )
        return decoder

    def analysis_decoder(self, name: str, space: int, diffusion: DiffusionOptions) -> Decoder:
        """Returns the decoder of the model ``name`` for pictures that only the encoder sees.

        It may compute in int8, so that its pixels are not within the tolerance of a decoded picture.
        """
        place = self._place_in_encoder(name)
        if place.dtype != "int8":
            return self.decoder(name, space, diffusion)
        decoder: Decoder = self._once(
            ("analysis decoder", name, space),
            lambda: load_decoder(name, space, self._threads, diffusion, place),
        )
        return decoder

    def face_finder(self, name: str) -> FaceFinder | None:
        """Returns the face finder for latents of the model ``name``; None if there is none."""
        place = replace(self.place(), dtype="float32")
        finder: FaceFinder | None = self._once(
            ("faces", name), lambda: load_face_finder(name, self._threads, place)
        )
        return finder

    def features(self, activations: tuple[str, ...]) -> FeatureNetwork:
        """Returns the embedded encoder with these activations as outputs."""
        network: FeatureNetwork = self._once(
            ("features", activations), lambda: load_features(activations, self._threads)
        )
        return network

    def text_finder(self) -> TextFinder:
        """Returns the detector of text of the extra ``truth``."""
        finder: TextFinder = self._once(("text",), lambda: load_text_finder(self._threads))
        return finder

    def _place_in_encoder(self, name: str) -> Place:
        """Returns the place of the model ``name`` within the encoder, where int8 is exact enough."""
        place = self._place_of(name)
        in_int8 = is_embedded(name) and place == CPU and not self._exact and has_exact_int8()
        return replace(place, dtype="int8") if in_int8 else place

    def _place_of(self, name: str) -> Place:
        """Returns the place of the model ``name``. Stable Diffusion models choose theirs themselves."""
        return self.place() if is_embedded(name) else CPU
