"""One model in every layout in which it is passed around, and files that must be refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sd_weights import UNET, VAE, original_tensors, random_network, write_configs

from calotype.errors import ModelError
from calotype.models import load_decoder
from calotype.models.stable_diffusion import fetched_model, weights
from calotype.models.stable_diffusion.store import WeightsLocation, file_hash
from calotype.options import DiffusionOptions

Array = NDArray[np.float32]
LATENTS = np.random.default_rng(3).standard_normal((4, 8, 6)).astype(np.float32)
OLD = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


@pytest.fixture
def small_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny architecture in place of the one that is embedded for original files."""
    write_configs(tmp_path / "embedded" / "configs")
    monkeypatch.setattr(weights, "files", lambda _: tmp_path / "embedded")


def decoded(path: Path, model: str = "sd-1.5") -> Array:
    decoder = load_decoder(model, 1, None, DiffusionOptions(weights=str(path), device="cpu", dtype="float32"))
    return decoder.decode(LATENTS, np.zeros((1, 8, 6), np.float32), np.full(4, 0.3))


def save_checkpoint(tensors: dict[str, torch.Tensor], path: Path) -> None:
    torch.save({"state_dict": tensors, "global_step": 7}, path)


@pytest.mark.parametrize(("name", "save"), [("all.safetensors", save_file), ("all.ckpt", save_checkpoint)])
def test_an_original_file_is_the_same_model(
    name: str,
    save: Callable[[dict[str, torch.Tensor], Path], None],
    pipeline: Path,
    small_configs: None,
    tmp_path: Path,
) -> None:
    save(original_tensors(pipeline), tmp_path / name)
    np.testing.assert_allclose(decoded(tmp_path / name), decoded(pipeline), atol=1e-5)


def test_an_original_vae_alone(pipeline: Path, small_configs: None, tmp_path: Path) -> None:
    start = "first_stage_model."
    whole = original_tensors(pipeline)
    alone = {name.removeprefix(start): tensor for name, tensor in whole.items() if name.startswith(start)}
    save_file(alone, tmp_path / "vae.safetensors")
    picture = decoded(tmp_path / "vae.safetensors", "sd-vae-ft-mse")
    np.testing.assert_array_equal(picture, decoded(pipeline, "sd-vae-ft-mse"))


def test_the_names_of_2022_are_understood(pipeline: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(pipeline, old)
    path = old / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = {}
    for name, tensor in load_file(path).items():
        for new, former in OLD.items():
            name = name.replace(new, former)
        tensors[name] = tensor
    assert any(".query." in name for name in tensors)
    save_file(tensors, path)
    np.testing.assert_array_equal(decoded(old), decoded(pipeline))


def test_sixteen_bit_files_are_found(pipeline: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(pipeline, half)
    for path in list(half.rglob("*.safetensors")):
        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
        path.rename(path.with_suffix(".fp16.safetensors"))
    np.testing.assert_allclose(decoded(half), decoded(pipeline), atol=0.02)


def test_a_checkpoint_cannot_run_code(small_configs: None, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (tmp_path / "trapped",)  # type: ignore[return-value]

    (tmp_path / "old.ckpt").write_bytes(pickle.dumps({"state_dict": Trap()}))
    torch.save({"state_dict": Trap()}, tmp_path / "new.ckpt")
    for name in ("old.ckpt", "new.ckpt"):
        with pytest.raises(ModelError, match=r"cannot be read safely .*: use a \.safetensors file"):
            decoded(tmp_path / name)
    assert not (tmp_path / "trapped").exists()


def test_files_that_do_not_fit_are_refused(pipeline: Path, small_configs: None, tmp_path: Path) -> None:
    lacking = original_tensors(pipeline)
    del lacking["first_stage_model.decoder.conv_in.weight"]
    save_file(lacking, tmp_path / "lacking.safetensors")
    with pytest.raises(ModelError, match=r"vae .* do not fit its architecture: decoder\.conv_in\.weight"):
        decoded(tmp_path / "lacking.safetensors")
    save_file({"unrelated": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"holds no vae|file lacks|do not fit"):
        decoded(tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read safely"):
        decoded(tmp_path / "damaged.safetensors")
    wide = tmp_path / "wide"
    shutil.copytree(pipeline, wide)
    (wide / "vae" / "config.json").write_text(json.dumps(VAE | {"block_out_channels": [8, 8, 16, 32]}))
    with pytest.raises(ModelError, match="do not fit its architecture"):
        decoded(wide)
    (wide / "vae" / "config.json").write_text(json.dumps(UNET))
    with pytest.raises(ModelError, match="holds a UNet2DConditionModel, not a AutoencoderKL"):
        decoded(wide)
    (wide / "vae" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is not a model's configuration"):
        decoded(wide)
    with pytest.raises(ModelError, match=r"holds no vae: there is no vae/config\.json"):
        decoded(tmp_path)


def test_a_model_that_predicts_something_else_is_refused(pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(pipeline, tmp_path / "v")
    path = tmp_path / "v" / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "v_prediction"}))
    with pytest.raises(ModelError, match="predicts v_prediction"):
        decoded(tmp_path / "v")


def test_the_embedded_architectures_have_the_published_sizes() -> None:
    from calotype.models.stable_diffusion import CATALOGUE
    from calotype.models.stable_diffusion.weights import read_config

    part_names = set()
    for source in CATALOGUE:
        for part in source.parts:
            config = read_config(WeightsLocation(Path(__file__)), source, part)
            if "_class_name" in config:
                with torch.device("meta"):
                    network = random_network(config, 0)
                assert sum(p.numel() for p in network.parameters()) == part.parameters
                part_names.add(part.name)
    assert part_names == {"vae", "unet", "taesd"}


WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
PAIR = ("taesd_encoder.safetensors", "taesd_decoder.safetensors")


def fetched(folder: Path, names: list[str]) -> WeightsLocation:
    """A snapshot whose record has ``names``, each holding the tensor ``0.x`` with its place in the list."""
    for number, name in enumerate(names):
        if name.endswith(".safetensors"):
            save_file({"0.x": torch.tensor([float(number)])}, folder / name)
        else:
            (folder / name).write_text("{}")
    return WeightsLocation(folder, {name: file_hash(folder / name) for name in names})


@pytest.mark.parametrize("recorded", [WEIGHTS_FILE, WEIGHTS_FILE.replace(".safe", ".fp16.safe")])
def test_foreign_files_beside_fetched_weights_are_not_read(recorded: str, tmp_path: Path) -> None:
    """Nothing of it was recorded, so that it could not be checked."""
    source = fetched_model("taesd")
    assert source is not None
    (part,) = source.parts
    where = fetched(tmp_path, ["config.json", recorded])
    for name in {WEIGHTS_FILE, *PAIR} - {recorded}:
        save_file({"0.x": torch.tensor([77.0])}, tmp_path / name)
    assert weights.read_weights(where, source, part, {})["0.x"] == 1
    assert weights.weights_part_hash(where, source, part) == where.sha256[recorded]
    (tmp_path / recorded).write_bytes(b"changed")
    with pytest.raises(ModelError, match="has changed since it was fetched"):
        weights.read_weights(where, source, part, {})


@pytest.mark.parametrize("changed", PAIR)
def test_each_of_a_recorded_pair_is_checked(changed: str, tmp_path: Path) -> None:
    source = fetched_model("taesd")
    assert source is not None
    (part,) = source.parts
    where = fetched(tmp_path, list(PAIR))
    tensors = weights.read_weights(where, source, part, {})
    assert {name: float(tensor) for name, tensor in tensors.items()} == {
        "encoder.layers.0.x": 0,
        "decoder.layers.-1.x": 1,
    }
    save_file({"0.x": torch.tensor([77.0])}, tmp_path / changed)
    with pytest.raises(ModelError, match=f"{changed} has changed since it was fetched"):
        weights.read_weights(where, source, part, {})
