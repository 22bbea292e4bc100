"""Models by permanent id: encoders and decoders between pixels and latents, and entropy tables."""

from __future__ import annotations

from calotype.models.cache import ModelCache
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
    DEFAULT_TABLE,
    ModelInfo,
    encoder_id,
    encoder_name,
    is_embedded,
    list_models,
    load_decoder,
    load_encoder,
    load_face_finder,
    load_table,
    space_named,
)

__all__ = [
    "DEFAULT_TABLE",
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
    "encoder_id",
    "encoder_name",
    "is_embedded",
    "list_models",
    "load_decoder",
    "load_encoder",
    "load_face_finder",
    "load_table",
    "space_named",
]
