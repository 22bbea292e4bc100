"""Loads the models of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from calotype.entropy import ContextModel, read_context_model
from calotype.errors import ModelError, UnsupportedError
from calotype.latents import SD1, SPACES
from calotype.models.crops import Crop, add_crops
from calotype.models.features import FeatureNetwork
from calotype.models.graph_editor import GraphEditor
from calotype.models.graph_layout import keep_blocks_after_depth_to_space, merge_space_to_depth
from calotype.models.int8_graph import int8_ranges, use_int8_activations
from calotype.models.onnx_model import (
    OnnxDecoder,
    OnnxEncoder,
    OnnxFaceFinder,
    TorchOnnxDecoder,
    TorchOnnxEncoder,
)
from calotype.models.places import CPU, Place
from calotype.models.post_filter import PostFilter, PostFilteredDecoder
from calotype.models.products import integer_product
from calotype.models.protocol import Decoder, Encoder, FaceFinder
from calotype.models.registry import (
    CONTEXT_MODEL_FILES,
    FACE_FINDER,
    THUMBNAIL_FILES,
    decoder_name,
    embedded_model,
    post_filter_of_encoder,
)
from calotype.models.shipped import read_shipped_file
from calotype.models.stable_diffusion import FetchedModel, fetched_model
from calotype.models.text_finder import TextFinder, read_text_network
from calotype.models.thumbnail import ThumbnailNetwork
from calotype.options import DiffusionOptions

if TYPE_CHECKING:
    from calotype.models.onnx_torch import TorchGraph

__all__ = [
    "WeightFiles",
    "load_context_model",
    "load_decoder",
    "load_differentiable_features",
    "load_encoder",
    "load_face_finder",
    "load_features",
    "load_post_filter",
    "load_text_finder",
    "load_thumbnail_network",
    "read_weights",
]


def load_encoder(
    name: str,
    threads: int | None = None,
    diffusion: DiffusionOptions | None = None,
    place: Place = CPU,
) -> Encoder:
    """Loads a model's encoder; ``threads`` None means every core, ``place`` is for the embedded models.

    Raises :class:`ModelError`.
    """
    if source := fetched_model(name):
        from calotype.models.stable_diffusion import open_encoder

        return open_encoder(source, diffusion or DiffusionOptions(), threads)
    network = embedded_model(name).encoder
    graph, _ = _prepared_graph(network.file, place)
    if place.runtime == "torch":
        return TorchOnnxEncoder(graph, network.margin, place)
    return OnnxEncoder(graph, network.margin, threads, place)


def load_decoder(
    name: str | None,
    space: int,
    threads: int | None = None,
    diffusion: DiffusionOptions | None = None,
    place: Place = CPU,
    encoder: int | None = None,
) -> Decoder:
    """Loads a decoder of ``space``, by default the embedded one; otherwise as :func:`load_encoder`.

    ``encoder`` is the id of the latents' encoder. If it has a post-filter, a Stable Diffusion model gets
    latents that were filtered. None stands for latents that need no filter.
    """
    name = decoder_name(name, space)
    model = fetched_model(name) or embedded_model(name)
    if model.space != space:
        wanted = SPACES[space].name
        raise ModelError(f"model {model.name!r} decodes {SPACES[model.space].name}, not the file's {wanted}")
    if isinstance(model, FetchedModel):
        from calotype.models.stable_diffusion import open_decoder

        decoder = open_decoder(model, diffusion or DiffusionOptions(), threads)
        post_filter = None if encoder is None else load_post_filter(encoder, threads)
        return decoder if post_filter is None else PostFilteredDecoder(post_filter, decoder)
    graph, crops = _prepared_graph(model.decoder.file, place)
    if place.runtime == "torch":
        return TorchOnnxDecoder(graph, model.decoder.margin, place, crops)
    return OnnxDecoder(graph, model.decoder.margin, threads, place, crops)


def _prepared_graph(file: str, place: Place) -> tuple[bytes, tuple[Crop, ...]]:
    """Returns the graph of a shipped file as it is computed, and the crops in it.

    It has 8-bit activations if the place computes in int8.
    """
    editor = GraphEditor(read_shipped_file(file))
    merge_space_to_depth(editor)
    keep_blocks_after_depth_to_space(editor)
    crops = add_crops(editor)
    ranges = int8_ranges().get(file) if place.dtype == "int8" else None
    if ranges is not None:
        use_int8_activations(editor, ranges)
    return editor.packed(), crops


def load_post_filter(encoder: int, threads: int | None = None) -> PostFilter | None:
    """Loads the post-filter for latents of the encoder with this id; None if there is none."""
    network = post_filter_of_encoder(encoder)
    return None if network is None else PostFilter(read_shipped_file(network.file), network.margin, threads)


def load_face_finder(name: str, threads: int | None = None, place: Place = CPU) -> FaceFinder | None:
    """Loads the face finder for latents of model ``name``, as :func:`load_encoder`; None if there is none."""
    if not fetched_model(name) and not embedded_model(name).faces:
        return None
    return OnnxFaceFinder(read_shipped_file(FACE_FINDER.file), FACE_FINDER.margin, threads, place)


def load_features(activations: Sequence[str], threads: int | None = None) -> FeatureNetwork:
    """Loads the default encoder with these activations as outputs. Raises :class:`ModelError`."""
    network = embedded_model(decoder_name(None, SD1.id)).encoder
    return FeatureNetwork(read_shipped_file(network.file), activations, network.margin, threads)


def load_text_finder(threads: int | None = None) -> TextFinder:
    """Loads the detector of text of the extra ``truth``, as :func:`load_encoder`."""
    return TextFinder(read_text_network(), threads)


def load_differentiable_features(activations: Sequence[str]) -> TorchGraph:
    """Loads the default encoder in torch, with these activations as outputs. Raises :class:`ModelError`."""
    from calotype.models.onnx_torch import TorchGraph

    network = embedded_model(decoder_name(None, SD1.id)).encoder
    return TorchGraph(read_shipped_file(network.file), activations).on_cpu()


class WeightFiles(NamedTuple):
    """What another implementation needs to decode: the contents of three files."""

    decoder: bytes
    context_model: bytes
    thumbnail_network: bytes


def read_weights(name: str, context_model: int) -> WeightFiles:
    """Returns the files of the embedded decoder ``name``, of a context model and of the thumbnail network.

    Raises :class:`ModelError`.
    """
    model = embedded_model(name)
    files = model.decoder.file, CONTEXT_MODEL_FILES[context_model], THUMBNAIL_FILES[SD1.id]
    return WeightFiles(*map(read_shipped_file, files))


@cache
def load_context_model(number: int) -> ContextModel:
    """Loads the context model of an id. Raises :class:`UnsupportedError` if it is unknown."""
    if number not in CONTEXT_MODEL_FILES:
        raise UnsupportedError(f"the file uses context model {number}, which this release does not know")
    return read_context_model(read_shipped_file(CONTEXT_MODEL_FILES[number]), integer_product)


@cache
def load_thumbnail_network(space: int) -> ThumbnailNetwork:
    """Loads the network that makes small pictures of latents of ``space``. Raises :class:`ModelError`."""
    return ThumbnailNetwork(read_shipped_file(THUMBNAIL_FILES[space]))
