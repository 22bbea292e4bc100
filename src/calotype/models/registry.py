"""The registry of models and tables: permanent ids, each tied to the SHA-256 of its file.

Until the first tagged release every id is experimental (240 and above) and may be withdrawn.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from calotype.entropy import ContextModel, read_context_model
from calotype.errors import ModelError, UnsupportedError
from calotype.latents import SD1, SPACES, LatentSpace
from calotype.models.onnx_model import OnnxDecoder, OnnxEncoder, OnnxFaceFinder
from calotype.models.products import integer_product
from calotype.models.protocol import Decoder, Encoder, FaceFinder
from calotype.models.stable_diffusion import (
    CATALOGUE,
    FetchedModel,
    fetched_model,
    open_decoder,
    open_encoder,
)
from calotype.models.stable_diffusion.store import is_fetched, read_record
from calotype.models.thumbnail import ThumbnailNetwork
from calotype.options import DEFAULT_BACKEND, DiffusionOptions

__all__ = [
    "DEFAULT_CONTEXT_MODEL",
    "ModelInfo",
    "decoder_name",
    "is_embedded",
    "latent_space_of_id",
    "list_models",
    "load_context_model",
    "load_decoder",
    "load_encoder",
    "load_face_finder",
    "load_thumbnail_network",
    "model_id",
    "model_name_of_id",
    "read_weights",
]


@dataclass(frozen=True)
class _Network:
    """A file of the ``weights`` folder, and the radius of its receptive field in latents."""

    file: str
    margin: int


@dataclass(frozen=True)
class _Model:
    id: int
    name: str
    space: int
    encoder: _Network
    decoder: _Network
    description: str
    faces: bool = True  # whether a face finder can read its latents


_MODELS = (
    _Model(
        240,
        "pocket",
        SD1.id,
        _Network("pocket-240-encoder.onnx", 20),
        _Network("pocket-240-decoder.onnx", 34),
        "small and embedded, one step, knows the quantisation step",
    ),
    _Model(
        250,
        "tiny",
        SD1.id,
        _Network("tiny-250-encoder.onnx", 0),
        _Network("tiny-250-decoder.onnx", 0),
        "random weights, for tests: an 8x8 mosaic of the picture",
        faces=False,
    ),
)
_DEFAULT_DECODER = {SD1.id: "pocket"}
_FACES = _Network("faces-240.onnx", 48)
_CONTEXT_MODEL_FILES = {241: "lattice-241.npz"}
DEFAULT_CONTEXT_MODEL = 241
_THUMBNAILS = {SD1.id: "thumbnail-240.npz"}


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


@cache
def _shipped_hashes() -> dict[str, str]:
    """Returns the SHA-256 of every shipped file, which ``training/seal.py`` writes."""
    text = (files("calotype.models") / "weights" / "sha256.json").read_text("utf-8")
    return dict(json.loads(text))


def _read_shipped_file(name: str) -> bytes:
    """Reads a shipped file. Raises :class:`ModelError` if it is missing or has another SHA-256."""
    try:
        data = (files("calotype.models") / "weights" / name).read_bytes()
    except OSError as error:
        raise ModelError(f"the embedded model file {name} is missing: reinstall calotype") from error
    actual = hashlib.sha256(data).hexdigest()
    if actual != _shipped_hashes()[name]:
        raise ModelError(
            f"{name} has the SHA-256 {actual}, not {_shipped_hashes()[name]}: reinstall calotype"
        )
    return data


def _embedded_model(name: str) -> _Model:
    for model in _MODELS:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in (*_MODELS, *CATALOGUE))
    raise ModelError(f"unknown model {name!r}: this release has {known}")


def list_models() -> list[ModelInfo]:
    """Returns every model that this release knows, without loading any."""
    infos = []
    for model in _MODELS:
        parts = {"encoder": model.encoder.file, "decoder": model.decoder.file}
        paths = [files("calotype.models") / "weights" / file for file in parts.values()]
        infos.append(
            ModelInfo(
                name=model.name,
                id=model.id,
                space=SPACES[model.space].name,
                roles=tuple(parts),
                sha256={role: _shipped_hashes()[file] for role, file in parts.items()},
                size_bytes=sum(_resource_size(path) for path in paths if path.is_file()),
                available=all(path.is_file() for path in paths),
                description=model.description,
            )
        )
    return infos + [_describe_fetched_model(source) for source in CATALOGUE]


def _resource_size(file: Traversable) -> int:
    """Returns the size of a file of the package in bytes, without reading it."""
    with file.open("rb") as stream:
        return stream.seek(0, os.SEEK_END)


def _describe_fetched_model(source: FetchedModel) -> ModelInfo:
    """Describes a model that the user fetches; before that its size is estimated at four bytes per weight."""
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
    return (fetched_model(name) or _embedded_model(name)).id


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


def load_encoder(
    name: str,
    threads: int | None = None,
    diffusion: DiffusionOptions | None = None,
    backend: str = DEFAULT_BACKEND,
) -> Encoder:
    """Loads a model's encoder; ``threads`` None means every core, ``backend`` is for the embedded models.

    Raises :class:`ModelError`.
    """
    if source := fetched_model(name):
        return open_encoder(source, diffusion or DiffusionOptions(), threads)
    network = _embedded_model(name).encoder
    return OnnxEncoder(_read_shipped_file(network.file), network.margin, threads, backend)


def load_decoder(
    name: str | None,
    space: int,
    threads: int | None = None,
    diffusion: DiffusionOptions | None = None,
    backend: str = DEFAULT_BACKEND,
) -> Decoder:
    """Loads a decoder of ``space``, by default the embedded one; otherwise as :func:`load_encoder`."""
    name = decoder_name(name, space)
    model = fetched_model(name) or _embedded_model(name)
    if model.space != space:
        wanted = SPACES[space].name
        raise ModelError(f"model {model.name!r} decodes {SPACES[model.space].name}, not the file's {wanted}")
    if isinstance(model, FetchedModel):
        return open_decoder(model, diffusion or DiffusionOptions(), threads)
    return OnnxDecoder(_read_shipped_file(model.decoder.file), model.decoder.margin, threads, backend)


def load_face_finder(
    name: str, threads: int | None = None, backend: str = DEFAULT_BACKEND
) -> FaceFinder | None:
    """Loads the face finder for latents of model ``name``; None if there is none. See :func:`load_encoder`.
    Loads the face finder for latents of model ``name``; None if there is none. See :func:`load_encoder`."""
    if not fetched_model(name) and not _embedded_model(name).faces:
        return None
    return OnnxFaceFinder(_read_shipped_file(_FACES.file), _FACES.margin, threads, backend)


def read_weights(name: str, context_model: int) -> tuple[bytes, bytes]:
    """Returns the files of the embedded decoder ``name`` and of a context model, for another implementation.

    Raises :class:`ModelError`.
    """
    decoder = _read_shipped_file(_embedded_model(name).decoder.file)
    return decoder, _read_shipped_file(_CONTEXT_MODEL_FILES[context_model])


@cache
def load_context_model(number: int) -> ContextModel:
    """Loads the context model of an id. Raises :class:`UnsupportedError` if it is unknown."""
    if number not in _CONTEXT_MODEL_FILES:
        raise UnsupportedError(f"the file uses context model {number}, which this release does not know")
    return read_context_model(_read_shipped_file(_CONTEXT_MODEL_FILES[number]), integer_product)


@cache
def load_thumbnail_network(space: int) -> ThumbnailNetwork:
    """Loads the network that makes small pictures of latents of ``space``. Raises :class:`ModelError`."""
    return ThumbnailNetwork(_read_shipped_file(_THUMBNAILS[space]))
