"""A network's configuration and weights, from any of their usual layouts.

* a folder in diffusers layout: ``vae/config.json``, ``vae/diffusion_pytorch_model.safetensors`` ..., or for a
  single network its two files alone;
* one original file, ``.safetensors`` or ``.ckpt``, whose architecture is the one in ``configs`` here;
* TAESD's own pair, ``taesd_encoder.safetensors`` and ``taesd_decoder.safetensors``.

Only tensors are ever unpickled, and the network is never used.
"""

from __future__ import annotations

import json
import re
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from calotype.errors import ModelError
from calotype.models.stable_diffusion.catalogue import FetchedModel, Part
from calotype.models.stable_diffusion.store import WeightsLocation, check_file_hash, file_hash

__all__ = ["Tensors", "read_config", "read_weights", "weights_part_hash"]

Tensors = dict[str, Any]
"""A network's torch tensors by name."""

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_NAME = re.compile(r"(attentions\.\d+)\.(query|key|value|proj_attn)\.")
_TEXT_PREFIX = "cond_stage_model.transformer."
_TAESD_FILES = ("taesd_encoder.safetensors", "taesd_decoder.safetensors")


def read_config(location: WeightsLocation, source: FetchedModel, part: Part) -> dict[str, Any]:
    """Returns a network's configuration: the folder's own, or the one in ``configs``. Raises
    :class:`ModelError`.
    """
    folder = None if location.path.is_file() else _part_folder(location, source, part)
    if folder is None or not _has_weights_file(location, folder / part.config):
        embedded = files("calotype.models.stable_diffusion") / "configs" / part.name / part.config
        return dict(json.loads(embedded.read_text("utf-8")))
    path = folder / part.config
    _check_weights_hash(location, source, path)
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a model's configuration ({error})") from error


def weights_part_hash(location: WeightsLocation, source: FetchedModel, part: Part) -> str:
    """Returns the sha256 of the file that a network's weights lie in, as recorded or else as it is now."""
    path = _weights_path(location, source, part)
    return _recorded_hash(location, path) or file_hash(path)


def read_weights(
    location: WeightsLocation, source: FetchedModel, part: Part, config: dict[str, Any]
) -> Tensors:
    """Returns a network's tensors under the names that diffusers gives them, checked against the recorded
    hash.

    Raises :class:`ModelError` if they are missing, damaged, changed, or could run code when read.
    """
    if part.name == "taesd" and not location.path.is_file():
        pair = [location.path / name for name in _TAESD_FILES]
        if all(_has_weights_file(location, path) for path in pair):
            return _join_taesd(*(_read_checked(location, source, path) for path in pair))
    path = _weights_path(location, source, part)
    tensors = _read_checked(location, source, path)
    if location.path.is_file():
        tensors = _to_diffusers_names(tensors, part, config)
        if not tensors:
            raise ModelError(f"{path} holds no {part.name}")
    return {_OLD_NAME.sub(_new_name, name): tensor for name, tensor in tensors.items()}


def _part_folder(location: WeightsLocation, source: FetchedModel, part: Part) -> Path | None:
    """Returns the folder of a part: its own, or the top if that is a folder of this one network."""
    tops = [location.path / part.name, location.path]
    for folder in reversed(tops) if source.root else tops:
        if _has_weights_file(location, folder / part.config):
            return folder
    return (
        location.path
        if part.name == "taesd" and _has_weights_file(location, location.path / _TAESD_FILES[0])
        else None
    )


def _weights_path(location: WeightsLocation, source: FetchedModel, part: Part) -> Path:
    if location.path.is_file():
        return location.path
    folder = _part_folder(location, source, part)
    if folder is None:
        raise ModelError(
            f"{location.path} holds no {part.name}: there is no {source.folder(part)}{part.config}"
        )
    names = [part.weights, part.weights.replace(".safetensors", ".fp16.safetensors")]
    for name in names:
        if _has_weights_file(location, folder / name):
            return folder / name
    raise ModelError(f"{folder} holds neither {names[0]} nor {names[1]}")


def _has_weights_file(location: WeightsLocation, path: Path) -> bool:
    """Returns whether a location has a file; of fetched locations only fetched files count.

    Other programs put more files into the same folder of the hub's cache.
    """
    return path.is_file() and (not location.sha256 or _recorded_hash(location, path) is not None)


def _recorded_hash(location: WeightsLocation, path: Path) -> str | None:
    if not location.sha256:
        return None
    return location.sha256.get(path.relative_to(location.path).as_posix())


def _check_weights_hash(location: WeightsLocation, source: FetchedModel, path: Path) -> None:
    if location.sha256:
        expected = _recorded_hash(location, path)
        if expected is None:
            raise ModelError(f"{path} is not one of the files fetched for {source.name}")
        check_file_hash(path, expected, source.name)


def _read_checked(location: WeightsLocation, source: FetchedModel, path: Path) -> Tensors:
    _check_weights_hash(location, source, path)
    return _read_tensors(path)


def _read_tensors(path: Path) -> Tensors:
    """Reads all tensors of a file, to the CPU."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        import torch

        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except ImportError as error:
        raise ModelError(f"{error.name} is missing: pip install 'calotype[sd]'") from error
    except Exception as error:  # Both packages raise exceptions of several types.
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"{path} cannot be read safely ({reason}): use a .safetensors file") from error
    loaded = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    return {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def _to_diffusers_names(tensors: Tensors, part: Part, config: dict[str, Any]) -> Tensors:
    """Converts the names of original files to those of diffusers; the result is empty if the part is
    missing.
    """
    from diffusers.loaders import single_file_utils as original

    try:
        if part.name == "unet":
            return dict(original.convert_ldm_unet_checkpoint(tensors, config=config))
        if part.name == "vae":
            return dict(original.convert_ldm_vae_checkpoint(tensors, config=config))
    except KeyError as error:
        raise ModelError(f"the file lacks {error.args[0]} of a Stable Diffusion 1.x {part.name}") from error
    if part.name == "text_encoder":
        return {
            name.removeprefix(_TEXT_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(_TEXT_PREFIX)
        }
    return tensors  # TAESD: its single file has the diffusers names


def _new_name(match: re.Match[str]) -> str:
    return f"{match[1]}.{_OLD_ATTENTION[match[2]]}."


def _join_taesd(encoder: Tensors, decoder: Tensors) -> Tensors:
    """Converts TAESD's names to those of diffusers, whose decoder does not have the first layer, a clamp."""
    joined = {f"encoder.layers.{name}": tensor for name, tensor in encoder.items()}
    for name, tensor in decoder.items():
        index, parameter = name.split(".", 1)
        joined[f"decoder.layers.{int(index) - 1}.{parameter}"] = tensor
    return joined
