"""Models by permanent id: encoders and decoders between pixels and latents, and context models."""

from __future__ import annotations

from calotype.models.cache import ModelCache
from calotype.models.products import integer_product
from calotype.models.protocol import (
    BatchDecoder,
    BatchEncoder,
    Decoder,
    DecoderInput,
    Differentiable,
    Encoder,
    FaceFinder,
    TorchDecoder,
)
from calotype.models.registry import (
    DEFAULT_CONTEXT_MODEL,
    ModelInfo,
    decoder_name,
    is_embedded,
    latent_space_of_id,
    list_models,
    load_context_model,
    load_decoder,
    load_encoder,
    load_face_finder,
    load_thumbnail_network,
    model_id,
    model_name_of_id,
    read_weights,
)

__all__ = [
    "DEFAULT_CONTEXT_MODEL",
    "BatchDecoder",
    "BatchEncoder",
    "Decoder",
    "DecoderInput",
    "Differentiable",
    "Encoder",
    "FaceFinder",
    "ModelCache",
    "ModelInfo",
    "TorchDecoder",
    "decoder_name",
    "integer_product",
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
