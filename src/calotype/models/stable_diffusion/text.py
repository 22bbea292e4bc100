"""The embedding of the empty prompt, an input of Stable Diffusion's U-Net.

The prompt is constant, so neither a tokeniser nor a text encoder that stays loaded is needed: this runs
CLIP's text transformer once on the start token and 76 end tokens (Radford et al. 2021; the end token is also
what Stable Diffusion 1.x pads with), and the result is kept.
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ModelError, OutputError
from calotype.models.stable_diffusion.catalogue import FetchedModel, Part
from calotype.models.stable_diffusion.store import WeightsLocation, records_folder, write_record_file
from calotype.models.stable_diffusion.weights import Tensors, read_config, read_weights, weights_part_hash

__all__ = ["empty_prompt", "encode_empty_prompt"]


def empty_prompt(location: WeightsLocation, source: FetchedModel, part: Part) -> NDArray[np.float32]:
    """Returns the embedding float32[1, 77, width], from the cache or, the first time, from the text encoder.

    Raises :class:`ModelError` if neither is there.
    """
    config = read_config(location, source, part)
    shape = 1, config["max_position_embeddings"], config["hidden_size"]
    path = _empty_prompt_cache(location, source, part)
    if path is not None and path.is_file():
        try:
            stored = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            stored = np.empty(0)
        if stored.shape == shape and stored.dtype == np.float32 and np.isfinite(stored).all():
            return np.asarray(stored)
    embedding = encode_empty_prompt(read_weights(location, source, part, config), config)
    if path is not None:
        content = io.BytesIO()
        np.save(content, embedding)
        with suppress(OutputError):  # If the home folder is read-only, it is computed again the next time.
            write_record_file(path, content.getvalue())
    return embedding


def _empty_prompt_cache(location: WeightsLocation, source: FetchedModel, part: Part) -> Path | None:
    """Returns the cache's path for recorded weights; hashing others would take as long as the encoder."""
    if not location.sha256:
        return None
    return records_folder() / f"empty-prompt-{weights_part_hash(location, source, part)}.npy"


def encode_empty_prompt(tensors: Tensors, config: dict[str, Any]) -> NDArray[np.float32]:
    """Computes the last hidden state of CLIP's text transformer, float32[1, tokens, width], for the empty
    prompt.

    ``tensors`` are named as in transformers' ``CLIPTextModel``. Raises :class:`ModelError` if one is missing.
    """
    import torch
    import torch.nn.functional as F

    def get(name: str) -> Any:
        # New files drop the prefix that old ones have.
        tensor = tensors.get(f"text_model.{name}", tensors.get(name))
        if tensor is None:
            raise ModelError(f"the text encoder's weights lack {name}")
        return tensor.float()

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))

    def norm(x: Any, name: str) -> Any:
        width = (config["hidden_size"],)
        return F.layer_norm(x, width, get(f"{name}.weight"), get(f"{name}.bias"), config["layer_norm_eps"])

    def heads(x: Any) -> Any:
        return x.unflatten(-1, (config["num_attention_heads"], -1)).transpose(0, 1)

    if config["hidden_act"] != "quick_gelu":
        raise ModelError(f"a text encoder with {config['hidden_act']} is not one of Stable Diffusion 1.x")
    tokens = torch.full((config["max_position_embeddings"],), config["vocab_size"] - 1)
    tokens[0] = config["vocab_size"] - 2
    with torch.inference_mode():
        x = get("embeddings.token_embedding.weight")[tokens] + get("embeddings.position_embedding.weight")
        for layer in range(config["num_hidden_layers"]):
            name = f"encoder.layers.{layer}"
            y = norm(x, f"{name}.layer_norm1")
            q, k, v = (heads(linear(y, f"{name}.self_attn.{part}_proj")) for part in "qkv")
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1).flatten(1)
            x = x + linear(y, f"{name}.self_attn.out_proj")
            y = linear(norm(x, f"{name}.layer_norm2"), f"{name}.mlp.fc1")
            x = x + linear(y * torch.sigmoid(1.702 * y), f"{name}.mlp.fc2")
        result: NDArray[np.float32] = norm(x, "final_layer_norm")[None].numpy()
    return result
