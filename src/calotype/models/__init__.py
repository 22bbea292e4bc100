"""Models by permanent id: encoders and decoders between pixels and latents, and context models.

What is imported here is loaded at its first use: the names and ids of models need no numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calotype.lazy import lazy_names

if TYPE_CHECKING:
    from calotype.models.cache import ModelCache
    from calotype.models.features import FeatureNetwork
    from calotype.models.loaders import (
        load_context_model,
        load_decoder,
        load_differentiable_features,
        load_encoder,
        load_face_finder,
        load_features,
        load_post_filter,
        load_text_finder,
        load_thumbnail_network,
        read_weights,
    )
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
        model_id,
        model_name_of_id,
        model_names,
    )
    from calotype.models.text_finder import TextBox, TextFinder
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "cache": ("ModelCache",),
            "features": ("FeatureNetwork",),
            "loaders": (
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
            ),
            "products": ("integer_product",),
            "protocol": (
                "BatchDecoder",
                "BatchEncoder",
                "Decoder",
                "DecoderInput",
                "Differentiable",
                "Encoder",
                "FaceFinder",
                "TorchDecoder",
            ),
            "registry": (
                "DEFAULT_CONTEXT_MODEL",
                "ModelInfo",
                "decoder_name",
                "is_embedded",
                "latent_space_of_id",
                "list_models",
                "model_id",
                "model_name_of_id",
                "model_names",
            ),
            "text_finder": ("TextBox", "TextFinder"),
        },
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
    "FeatureNetwork",
    "ModelCache",
    "ModelInfo",
    "TextBox",
    "TextFinder",
    "TorchDecoder",
    "decoder_name",
    "integer_product",
    "is_embedded",
    "latent_space_of_id",
    "list_models",
    "load_context_model",
    "load_decoder",
    "load_differentiable_features",
    "load_encoder",
    "load_face_finder",
    "load_features",
    "load_post_filter",
    "load_text_finder",
    "load_thumbnail_network",
    "model_id",
    "model_name_of_id",
    "model_names",
    "read_weights",
]
