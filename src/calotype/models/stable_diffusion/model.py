"""The Stable Diffusion models as encoders and decoders of the ``sd1`` space.

::

    pixels ─ AutoencoderKL (posterior mean) ─ x 0.18215 ─ latents
    latents ─ [U-Net: as much denoising as the quantiser made noise] ─ / 0.18215 ─ AutoencoderKL ─ pixels

TAESD replaces the autoencoder, without the factors. Latents that no U-Net denoises are decoded from their
conditional means instead, which removes part of the quantisation noise.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.latents import SD1
from calotype.models.protocol import TorchDecoder
from calotype.models.stable_diffusion.catalogue import (
    FetchedModel,
    Part,
    fetched_model,
    unknown_vae_error,
    vae_model,
)
from calotype.models.stable_diffusion.denoise import (
    Schedule,
    denoise_all,
    denoise_unless_clean,
    noise_strength,
    timestep_for,
)
from calotype.models.stable_diffusion.networks import (
    Backend,
    Network,
    choose_backend,
    diffusers_module,
    load_network,
    torch_module,
)
from calotype.models.stable_diffusion.store import WeightsLocation, fetched_location, own_location
from calotype.models.stable_diffusion.text import empty_prompt
from calotype.models.stable_diffusion.tiles import DiffusionTiler
from calotype.models.stable_diffusion.weights import read_config
from calotype.models.windows import Area, scale_area
from calotype.options import DiffusionOptions

__all__ = [
    "OVERLAP",
    "DiffusionDecoder",
    "DiffusionEncoder",
    "open_decoder",
    "open_encoder",
    "weights_locations",
]

Array = NDArray[np.float32]

OVERLAP = 16, 4
"""Overlap and guard, in latent positions, of networks with an unlimited receptive field: the ramp is wide."""

_LOCAL_OVERLAP = 40, 20
"""The receptive field of TAESD has a radius of 20 positions, so that tiles do not change the result."""


class _Autoencoder:
    """The autoencoder that ``options`` name, and its tiles; the first axis of arrays counts pictures."""

    wants_conditional_mean = True

    def __init__(
        self, source: FetchedModel, location: WeightsLocation, options: DiffusionOptions, backend: Backend
    ) -> None:
        self._part = next(part for part in source.parts if part.name in ("vae", "taesd"))
        self._network = load_network(location, source, self._part, backend)
        overlap, guard = _LOCAL_OVERLAP if self._tiny else OVERLAP
        tile = options.tile // SD1.factor
        self._tiler = DiffusionTiler(tile, overlap, guard, self._network.name, self._network.free)

    @property
    def _tiny(self) -> bool:
        return self._part.name == "taesd"

    def encode(self, pixels: Array) -> Array:
        def run(vae: Any, x: Any) -> Any:
            output = vae.encode(2 * x - 1)
            return output.latents if self._tiny else output.latent_dist.mean * SD1.scaling

        def encode_part(part: slice) -> Array:
            return self._tiler.encode(lambda window: self._network(run, window), pixels[part])

        return self._tiler.together(encode_part, len(pixels))

    def decode(self, latents: Array) -> Array:
        def decode_part(part: slice) -> Array:
            return self._tiler.decode(lambda window: self._network(self._develop, window), latents[part])

        return self._tiler.together(decode_part, len(latents))

    def _develop(self, vae: Any, z: Any) -> Any:
        pixels = vae.decode(z if self._tiny else z / SD1.scaling).sample
        return pixels.float() / 2 + 0.5

    @property
    def margin(self) -> int:
        """The effective radius of the receptive field in latents."""
        return _LOCAL_OVERLAP[1] if self._tiny else OVERLAP[0]

    def __call__(
        self, latents: Any, log_step: Any, conditional_mean: Any, origin: tuple[int, int] = (0, 0)
    ) -> Any:
        """See :class:`calotype.models.TorchDecoder`."""
        return self._network.differentiate(self._develop, conditional_mean)


class _Denoiser:
    """U-Net, scheduler and the empty prompt's embedding."""

    def __init__(
        self, source: FetchedModel, location: WeightsLocation, options: DiffusionOptions, backend: Backend
    ) -> None:
        parts = {part.name: part for part in source.parts}
        self._options = options
        self.schedule = _read_schedule(location, source, parts["scheduler"])
        self._where, self._source, self._parts, self._backend = location, source, parts, backend
        self._lock = threading.Lock()
        self._loaded: tuple[Network, Any, DiffusionTiler] | None = None

    def _load(self) -> tuple[Network, Any, DiffusionTiler]:
        with self._lock:  # Files with a fine quantiser never need the U-Net.
            if self._loaded is None:
                unet = load_network(self._where, self._source, self._parts["unet"], self._backend)
                prompt = unet.tensor(empty_prompt(self._where, self._source, self._parts["text_encoder"]))
                tiler = DiffusionTiler(self._options.tile // SD1.factor, *OVERLAP, unet.name, unet.free)
                self._loaded = unet, prompt, tiler
            return self._loaded

    def __call__(
        self, latents: Array, log_step: Array, noise: NDArray[np.float64], conditional_mean: Array
    ) -> Array:
        starts = [timestep_for(self.schedule, deviations, self._options) for deviations in noise]
        tasks = {
            number: denoise_unless_clean(
                latents[number],
                noise_strength(noise[number], log_step[number]),
                self.schedule,
                start,
                self._options,
            )
            for number, start in enumerate(starts)
            if start is not None
        }
        denoised = conditional_mean.copy()
        if tasks:
            denoised[list(tasks)] = denoise_all(self._predict_noise, list(tasks.values()))
        return denoised

    def _predict_noise(self, x: Array, times: Sequence[int]) -> Array:
        unet, prompt, tiler = self._load()

        def some(part: slice) -> Array:
            t = unet.times(times[part])

            def run(network: Any, z: Any) -> Any:
                return network(z, t, encoder_hidden_states=prompt.expand(len(z), -1, -1)).sample

            return tiler.denoise(lambda window: unet(run, window), x[part])

        return tiler.together(some, len(x))


class DiffusionEncoder:
    """See :class:`calotype.models.Encoder`; it tiles pictures of any size itself."""

    margin = None

    def __init__(self, autoencoder: _Autoencoder) -> None:
        self._autoencoder = autoencoder

    def encode(self, pixels: Array) -> Array:
        latents: Array = self.encode_batch(pixels[None])[0]
        return latents

    def encode_batch(self, pixels: Array) -> Array:
        """See :class:`calotype.models.BatchEncoder`."""
        return self._autoencoder.encode(pixels)


class DiffusionDecoder:
    """See :class:`calotype.models.Decoder`; it tiles pictures of any size itself."""

    margin = last_margin = None

    def __init__(self, autoencoder: _Autoencoder, denoiser: _Denoiser | None) -> None:
        self._autoencoder, self._denoiser = autoencoder, denoiser

    def decode(
        self,
        latents: Array,
        log_step: Array,
        noise: NDArray[np.float64],
        conditional_mean: Array | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> Array:
        likely = None if conditional_mean is None else conditional_mean[None]
        one = latents[None], log_step[None], noise[None], likely
        pixels: Array = self.decode_batch(*one, origin, part)[0]
        return pixels

    def decode_batch(
        self,
        latents: Array,
        log_step: Array,
        noise: NDArray[np.float64],
        conditional_mean: Array | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> Array:
        """See :class:`calotype.models.BatchDecoder`; ``origin`` has no meaning for whole pictures."""
        pixels = self._autoencoder.decode(self.denoised(latents, log_step, noise, conditional_mean))
        return pixels if part is None else pixels[..., *scale_area(part, SD1.factor)]

    def denoised(
        self,
        latents: Array,
        log_step: Array,
        noise: NDArray[np.float64],
        conditional_mean: Array | None = None,
    ) -> Array:
        """Returns the latents float32[n, 4, h, w] that are the autoencoder's input."""
        mean = latents if conditional_mean is None else conditional_mean
        return mean if self._denoiser is None else self._denoiser(latents, log_step, noise, mean)

    def differentiable(self) -> TorchDecoder:
        """See :class:`calotype.models.Differentiable`: the autoencoder alone, without denoising."""
        return self._autoencoder


def open_encoder(source: FetchedModel, options: DiffusionOptions, threads: int | None) -> DiffusionEncoder:
    """Loads the encoder of a model. Raises :class:`ModelError`, whose message names the command to run."""
    backend = _prepare_torch(options, threads)
    (vae, location), _ = weights_locations(source, options)
    return DiffusionEncoder(_Autoencoder(vae, location, options, backend))


def open_decoder(source: FetchedModel, options: DiffusionOptions, threads: int | None) -> DiffusionDecoder:
    """Loads the decoder of a model, but its U-Net only when a file needs it. Raises :class:`ModelError`."""
    backend = _prepare_torch(options, threads)
    (vae, vae_location), unet_location = weights_locations(source, options)
    autoencoder = _Autoencoder(vae, vae_location, options, backend)
    if unet_location is None or options.denoise == "off" or options.steps == 0:
        return DiffusionDecoder(autoencoder, None)
    return DiffusionDecoder(autoencoder, _Denoiser(source, unet_location, options, backend))


def weights_locations(
    source: FetchedModel, options: DiffusionOptions
) -> tuple[tuple[FetchedModel, WeightsLocation], WeightsLocation | None]:
    """Returns ((the autoencoder's model, its location), the location of the U-Net if there is one).

    Raises :class:`ModelError` if weights are missing.
    """
    if options.vae is not None and source.root:
        raise ModelError(f"{source.name} is itself an autoencoder: another goes with sd-1.4 and sd-1.5 only")
    own = options.weights
    location = fetched_location(source) if own is None else own_location(own, source.name)
    if options.vae is None:
        return (source, location), None if source.root else location
    vae = vae_model(options.vae)
    if vae is not None:
        return (vae, fetched_location(vae)), location
    if not Path(options.vae).exists():
        raise unknown_vae_error(options.vae)
    plain = fetched_model("sd-vae-ft-mse")
    return (plain or source, own_location(options.vae, options.vae)), location


def _prepare_torch(options: DiffusionOptions, threads: int | None) -> Backend:
    if threads is not None:
        torch_module().set_num_threads(threads)  # This setting is for the whole process: torch has no other.
    return choose_backend(options)


def _read_schedule(location: WeightsLocation, source: FetchedModel, part: Part) -> Schedule:
    """Reads the scheduler's alphas. Raises :class:`ModelError` if its model does not predict noise."""
    config = read_config(location, source, part)
    kind = config.get("prediction_type", "epsilon")
    if kind != "epsilon":
        raise ModelError(
            f"{location.path} predicts {kind}, and models of Stable Diffusion 1.x predict epsilon"
        )
    scheduler: Any = diffusers_module().DDIMScheduler.from_config(config)
    return Schedule(scheduler.alphas_cumprod.double().numpy())
