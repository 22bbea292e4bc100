"""Tiny random Stable Diffusion pipelines, written in the layouts in which the real ones are passed around."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

VAE = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [8, 8, 16, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 4,
    "out_channels": 3,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
UNET = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 2,
    "block_out_channels": [8, 16],
    "cross_attention_dim": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "in_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 4,
    "out_channels": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}
TEXT = {
    "hidden_act": "quick_gelu",
    "hidden_size": 8,
    "intermediate_size": 16,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 6,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 12,
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
CONFIGS = {
    "vae/config.json": VAE,
    "unet/config.json": UNET,
    "text_encoder/config.json": TEXT,
    "scheduler/scheduler_config.json": SCHEDULER,
}


def random_network(config: dict[str, Any], seed: int) -> Any:
    """A diffusers network with random weights."""
    import diffusers  # here, for it takes seconds and few tests need it

    torch.manual_seed(seed)
    return getattr(diffusers, config["_class_name"]).from_config(config).eval()


def text_tensors(seed: int) -> dict[str, torch.Tensor]:
    """Random weights of a CLIP text transformer, named as in its files."""
    generator = torch.Generator().manual_seed(seed)
    width, inner = TEXT["hidden_size"], TEXT["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.token_embedding.weight": (TEXT["vocab_size"], width),
        "embeddings.position_embedding.weight": (TEXT["max_position_embeddings"], width),
    }
    norms = ["final_layer_norm"]
    for layer in range(TEXT["num_hidden_layers"]):
        name = f"encoder.layers.{layer}"
        norms += [f"{name}.layer_norm1", f"{name}.layer_norm2"]
        linear = {f"self_attn.{part}": (width, width) for part in ("q_proj", "k_proj", "v_proj", "out_proj")}
        linear |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
        for part, shape in linear.items():
            shapes[f"{name}.{part}.weight"], shapes[f"{name}.{part}.bias"] = shape, shape[:1]
    for name in norms:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in sorted(shapes.items())}
    return {f"text_model.{name}": tensor for name, tensor in tensors.items()}


def write_configs(folder: Path) -> Path:
    """The configurations of a pipeline in diffusers layout."""
    for name, config in CONFIGS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(config))
    return folder


def write_pipeline(folder: Path, seed: int = 0) -> Path:
    """A whole pipeline in diffusers layout."""
    write_configs(folder)
    for name, config in (("vae", VAE), ("unet", UNET)):
        tensors = random_network(config, seed).state_dict()
        save_file(tensors, folder / name / "diffusion_pytorch_model.safetensors")
    save_file(text_tensors(seed), folder / "text_encoder" / "model.safetensors")
    return folder


def write_vae(folder: Path, seed: int) -> Path:
    """An autoencoder alone in diffusers layout."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(VAE))
    save_file(random_network(VAE, seed).state_dict(), folder / "diffusion_pytorch_model.safetensors")
    return folder


def original_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a pipeline under the names of the original single files."""
    renamed = {}
    for name, tensor in load_file(folder / "vae" / "diffusion_pytorch_model.safetensors").items():
        if ".attentions." in name and name.endswith("weight") and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        renamed["first_stage_model." + _rename(name, _VAE_NAMES)] = tensor
    for name, tensor in load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").items():
        renamed["model.diffusion_model." + _unet_name(name)] = tensor
    for name, tensor in load_file(folder / "text_encoder" / "model.safetensors").items():
        renamed["cond_stage_model.transformer." + name] = tensor
    return {name: tensor.contiguous() for name, tensor in renamed.items()}


_VAE_NAMES = (
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
)
_UNET_NAMES = (
    (r"^conv_in", "input_blocks.0.0"),
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.0"),
    (r"^down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.1"),
    (r"^down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op"),
    (r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.0"),
    (r"^up_blocks\.(\d)\.attentions\.(\d)", lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.1"),
    (r"^up_blocks\.0\.upsamplers\.0\.conv", "output_blocks.2.1.conv"),
)
_RESNET_NAMES = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)


def _rename(name: str, rules: Any) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def _unet_name(name: str) -> str:
    inner = _rename(name, _RESNET_NAMES) if ".resnets." in name else name
    return _rename(inner, _UNET_NAMES)
