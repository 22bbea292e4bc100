"""A cache of models, which loads each once, at its first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from calotype.models.loaders import load_decoder, load_encoder, load_face_finder
from calotype.models.protocol import Decoder, Encoder, FaceFinder
from calotype.options import DEFAULT_BACKEND, DiffusionOptions

__all__ = ["ModelCache"]


class ModelCache:
    """Safe to use from several threads. Its methods raise :class:`ModelError`, as the loaders do."""

    def __init__(self, threads: int | None = None, backend: str = DEFAULT_BACKEND) -> None:
        """``threads`` and ``backend``: see :class:`calotype.Codec`."""
        self._threads, self._backend = threads, backend
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Hashable, ...], Any] = {}

    def _once(self, key: tuple[Hashable, ...], load: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load()
            return self._loaded[key]

    def encoder(self, name: str, diffusion: DiffusionOptions) -> Encoder:
        """Returns the encoder of the model ``name``."""
        encoder: Encoder = self._once(
            ("encoder", name, diffusion),
            lambda: load_encoder(name, self._threads, diffusion, self._backend),
        )
        return encoder

    def decoder(self, name: str | None, space: int, diffusion: DiffusionOptions) -> Decoder:
        """Returns the decoder of the model ``name``; None selects the default one of the latent space."""
        decoder: Decoder = self._once(
            ("decoder", name, space, diffusion),
            lambda: load_decoder(name, space, self._threads, diffusion, self._backend),
        )
        return decoder

    def face_finder(self, name: str) -> FaceFinder | None:
        """Returns the face finder for latents of the model ``name``; None if there is none."""
        finder: FaceFinder | None = self._once(
            ("faces", name), lambda: load_face_finder(name, self._threads, self._backend)
        )
        return finder
