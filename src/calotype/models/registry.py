"""The registry of models and tables: permanent ids, each tied to the SHA-256 of its file.

Until the first tagged release every id is experimental (240 and above) and may be withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass

from calotype.errors import ModelError, UnsupportedError
from calotype.latents.space import SD1, SPACES, LatentSpace
from calotype.models.stable_diffusion.catalogue import CATALOGUE, FetchedModel, fetched_model

__all__ = [
    "CONTEXT_MODEL_FILES",
    "DEFAULT_CONTEXT_MODEL",
    "FACE_FINDER",
    "THUMBNAIL_FILES",
    "EmbeddedModel",
    "ModelInfo",
    "ShippedNetwork",
    "decoder_name",
    "embedded_model",
    "is_embedded",
    "latent_space_of_id",
    "list_models",
    "model_id",
    "model_name_of_id",
    "model_names",
    "post_filter_of_encoder",
]


@dataclass(frozen=True)
class ShippedNetwork:
    """A file of the ``weights`` folder, and the radius of its receptive field in latents."""

    file: str
    margin: int


@dataclass(frozen=True)
class EmbeddedModel:
    """An embedded model: its permanent id, its name, the id of its latent space and its networks."""

    id: int
    name: str
    space: int
    encoder: ShippedNetwork
    decoder: ShippedNetwork
    description: str
    faces: bool = True  # whether a face finder can read its latents
    post_filter: ShippedNetwork | None = None  # corrects its latents for Stable Diffusion's decoders


_MODELS = (
    EmbeddedModel(
        240,
        "pocket",
        SD1.id,
        ShippedNetwork("pocket-240-encoder.onnx", 24),
        ShippedNetwork("pocket-240-decoder.onnx", 34),
        "small and embedded, one step, knows the quantisation step",
        post_filter=ShippedNetwork("post-filter-240.onnx", 12),
    ),
    EmbeddedModel(
        250,
        "tiny",
        SD1.id,
        ShippedNetwork("tiny-250-encoder.onnx", 0),
        ShippedNetwork("tiny-250-decoder.onnx", 0),
        "random weights, for tests: an 8x8 mosaic of the picture",
        faces=False,
    ),
)
_DEFAULT_DECODER = {SD1.id: "pocket"}

FACE_FINDER = ShippedNetwork("faces-240.onnx", 48)

CONTEXT_MODEL_FILES = {242: "context-242.npz"}
"""The file of each context model, by its permanent id."""

DEFAULT_CONTEXT_MODEL = 242

THUMBNAIL_FILES = {SD1.id: "thumbnail-240.npz"}
"""The file of the thumbnail networks of each latent space."""


@dataclass(frozen=True)
class ModelInfo:
    """One line of ``calotype models``; ``size_bytes`` is the size of the weights on disk."""

    name: str
    id: int
    space: str
    roles: tuple[str, ...]
    sha256: dict[str, str]
    size_bytes: int
    available: bool
    description: str


def embedded_model(name: str) -> EmbeddedModel:
    """Returns the embedded model of that name. Raises :class:`ModelError` for an unknown name."""
    for model in _MODELS:
        if model.name == name:
            return model
    raise ModelError(f"unknown model {name!r}: this release has {', '.join(model_names())}")


def post_filter_of_encoder(number: int) -> ShippedNetwork | None:
    """Returns the post-filter for the latents of the encoder with this id; None if it has none."""
    return next((model.post_filter for model in _MODELS if model.id == number), None)


def model_names() -> list[str]:
    """Returns the names of all models that this release knows. Each of them encodes and decodes."""
    return [model.name for model in (*_MODELS, *CATALOGUE)]


def list_models() -> list[ModelInfo]:
    """Returns every model that this release knows, without loading any."""
    from calotype.models.shipped import shipped_hashes, shipped_sizes

    infos = []
    for model in _MODELS:
        parts = {"encoder": model.encoder.file, "decoder": model.decoder.file}
        sizes = shipped_sizes(*parts.values())
        infos.append(
            ModelInfo(
                name=model.name,
                id=model.id,
                space=SPACES[model.space].name,
                roles=tuple(parts),
                sha256={role: shipped_hashes()[file] for role, file in parts.items()},
                size_bytes=sum(sizes.values()),
                available=len(sizes) == len(parts),
                description=model.description,
            )
        )
    return infos + [_describe_fetched_model(source) for source in CATALOGUE]


def _describe_fetched_model(source: FetchedModel) -> ModelInfo:
    """Describes a model that the user fetches; before that its size is estimated at four bytes per weight."""
    from calotype.models.stable_diffusion.store import is_fetched, read_record

    available = is_fetched(source)
    record = read_record(source) if available else None
    return ModelInfo(
        name=source.name,
        id=source.id,
        space=SPACES[source.space].name,
        roles=("encoder", "decoder"),
        sha256=record.sha256 if record else {},
        size_bytes=sum(record.size.values()) if record else source.nominal_bytes,
        available=available,
        description=source.description,
    )


def model_id(name: str) -> int:
    """Returns the permanent id of a model. Raises :class:`ModelError` for an unknown name."""
    return (fetched_model(name) or embedded_model(name)).id


def model_name_of_id(number: int) -> str:
    """Returns the name of the model with an id. Raises :class:`UnsupportedError` for an unknown id."""
    for model in (*_MODELS, *CATALOGUE):
        if model.id == number:
            return model.name
    raise UnsupportedError(f"the file was made by model {number}, which this release does not know")


def decoder_name(name: str | None, space: int) -> str:
    """Returns ``name``, or the name of the default decoder of ``space`` for None."""
    return name or _DEFAULT_DECODER[space]


def is_embedded(name: str) -> bool:
    """Returns whether a model's weights are part of the package."""
    return any(model.name == name for model in _MODELS)


def latent_space_of_id(number: int) -> LatentSpace:
    """Returns the latent space of an id. Raises :class:`UnsupportedError` if it is unknown."""
    if number not in SPACES:
        raise UnsupportedError(f"the file uses latent space {number}, which this release does not know")
    return SPACES[number]
