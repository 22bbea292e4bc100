"""The Stable Diffusion models: their networks, repositories and licences."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.errors import ModelError
from calotype.latents import SD1

__all__ = ["CATALOGUE", "FetchedModel", "Licence", "Part", "fetched_model", "unknown_vae_error", "vae_model"]


@dataclass(frozen=True)
class Licence:
    """A licence; ``restrictions`` is empty if the user need not accept it before the weights are fetched."""

    name: str
    url: str
    restrictions: str = ""


@dataclass(frozen=True)
class Part:
    """One network: its folder and weights file in the diffusers layout, and its number of parameters.

    ``parameters`` is a count for the architecture that ``configs`` describes.
    """

    name: str
    weights: str
    config: str
    parameters: int


@dataclass(frozen=True)
class FetchedModel:
    """One model. With ``root`` its only part is at the top of the repository instead of in a folder."""

    id: int
    name: str
    repository: str
    licence: Licence
    parts: tuple[Part, ...]
    description: str
    space: int = SD1.id

    @property
    def root(self) -> bool:
        return len(self.parts) == 1

    def folder(self, part: Part) -> str:
        """Returns the folder of ``part`` with a slash, in the repository and in the diffusers layout."""
        return "" if self.root else f"{part.name}/"

    def files(self, *, half: bool = False) -> list[str]:
        """Returns the files to fetch; with ``half`` the weights that are stored in 16 bits."""
        names = []
        for part in self.parts:
            names.append(self.folder(part) + part.config)
            if part.weights:
                weights = part.weights.replace(".safetensors", ".fp16.safetensors") if half else part.weights
                names.append(self.folder(part) + weights)
        return names

    @property
    def nominal_bytes(self) -> int:
        """The size of the weights in bytes at four bytes each."""
        return 4 * sum(part.parameters for part in self.parts)


_OPENRAIL = Licence(
    "CreativeML Open RAIL-M",
    "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    "It allows commercial use and claims no rights in the pictures, and it binds you, and those to whom you "
    "pass the model on, to its use restrictions: among others no unlawful use, no harm to minors, no false "
    "information meant to harm, no harassment or discrimination, no medical advice, no law enforcement. "
    "The text under the address above is what counts.",
)
_MIT = Licence("MIT", "https://opensource.org/license/mit")

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_UNET = Part("unet", _WEIGHTS, "config.json", 859_520_964)
_VAE = Part("vae", _WEIGHTS, "config.json", 83_653_863)
_TEXT = Part("text_encoder", "model.safetensors", "config.json", 123_060_480)
_SCHEDULER = Part("scheduler", "", "scheduler_config.json", 0)
_TAESD = Part("taesd", _WEIGHTS, "config.json", 2_445_063)
_PIPELINE = (_VAE, _UNET, _TEXT, _SCHEDULER)

CATALOGUE = (
    FetchedModel(
        241,
        "sd-1.4",
        "CompVis/stable-diffusion-v1-4",
        _OPENRAIL,
        _PIPELINE,
        "Stable Diffusion 1.4, the model of 2022: U-Net denoising, then AutoencoderKL",
    ),
    FetchedModel(
        242,
        "sd-1.5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        _OPENRAIL,
        _PIPELINE,
        "Stable Diffusion 1.5: U-Net denoising, then AutoencoderKL",
    ),
    FetchedModel(
        243,
        "sd-vae-ft-mse",
        "stabilityai/sd-vae-ft-mse",
        _MIT,
        (_VAE,),
        "an AutoencoderKL with a smoother decoder; it denoises only as -m sd-1.5 --vae ft-mse",
    ),
    FetchedModel(
        244,
        "taesd",
        "madebyollin/taesd",
        _MIT,
        (_TAESD,),
        "a tiny autoencoder for Stable Diffusion's latents; it denoises only as -m sd-1.5 --vae taesd",
    ),
)


def fetched_model(name: str) -> FetchedModel | None:
    """Returns the model of that name, or None."""
    return next((source for source in CATALOGUE if source.name == name), None)


def vae_model(name: str) -> FetchedModel | None:
    """Returns the model whose autoencoder ``--vae`` names; ``name`` may leave out "sd-" and "vae-"."""
    candidates = [fetched_model(prefix + name) for prefix in ("", "sd-", "sd-vae-")]
    return next((source for source in candidates if source is not None), None)


def unknown_vae_error(name: str) -> ModelError:
    """Returns the error for a name that is neither in the catalogue nor in the file system."""
    known = ", ".join(source.name for source in CATALOGUE)
    return ModelError(f"{name!r} is neither a model ({known}) nor a file or folder")
