"""The real latent space: TAESD's weights as they are passed around, against pocket's, on the same files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

import calotype
from calotype.errors import ModelError
from calotype.models import load_decoder, load_encoder
from calotype.options import DiffusionOptions

ROOT = Path(__file__).parents[3]
TAESD = Path(os.environ.get("CALOTYPE_ASSETS", ROOT.parent / "shared")) / "models" / "taesd"
pytestmark = pytest.mark.skipif(not TAESD.is_dir(), reason="TAESD is not there: set CALOTYPE_ASSETS")

OPTIONS = DiffusionOptions(weights=str(TAESD), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    picture = Image.open(ROOT / "samples" / "astronaut.png").convert("RGB")
    return np.asarray(picture.crop((96, 0, 480, 320)))


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


def has_pocket() -> bool:
    try:
        load_encoder("pocket")
    except (ModelError, KeyError):
        return False
    return True


def test_the_round_trip_is_good(photo: NDArray[np.uint8]) -> None:
    pixels = photo.transpose(2, 0, 1).astype(np.float32) / 255
    latents = load_encoder("taesd", None, OPTIONS).encode(pixels)
    assert 0.5 < latents.std() < 1.5
    decoder = load_decoder("taesd", 1, None, OPTIONS)
    back = decoder.decode(latents, np.zeros((1, *latents.shape[1:]), np.float32), np.zeros(4))
    assert 10 * np.log10(1 / ((np.clip(back, 0, 1) - pixels) ** 2).mean()) > 23


def test_tiles_give_the_picture_of_the_whole() -> None:
    pixels = np.random.default_rng(0).random((3, 64, 1160), np.float32)
    whole, tiled = (replace(OPTIONS, tile=tile) for tile in (2048, 512))
    latents = load_encoder("taesd", None, whole).encode(pixels)
    np.testing.assert_allclose(load_encoder("taesd", None, tiled).encode(pixels), latents, atol=1e-4)
    step, noise = np.zeros((1, *latents.shape[1:]), np.float32), np.zeros(4)
    pictures = [
        load_decoder("taesd", 1, None, options).decode(latents, step, noise) for options in (whole, tiled)
    ]
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1e-4)


def test_sixteen_bits_cost_little(photo: NDArray[np.uint8]) -> None:
    data = calotype.encode(photo, model="taesd", target_size=3000, effort=1, diffusion=OPTIONS)
    half = replace(OPTIONS, dtype="bfloat16")
    exact = calotype.decode(data, model="taesd", diffusion=OPTIONS, as_array=True)
    assert psnr(calotype.decode(data, model="taesd", diffusion=half, as_array=True), exact) > 36


def test_its_files_and_pockets_open_with_both_decoders(photo: NDArray[np.uint8]) -> None:
    encoders = ["taesd", "pocket"] if has_pocket() else ["taesd"]
    files = {
        name: calotype.encode(photo, model=name, target_size=3000, effort=1, diffusion=OPTIONS)
        for name in encoders
    }
    for made_by, data in files.items():
        assert calotype.read_info(data).encoder == made_by
        for decoder in ("taesd", "pocket"):
            picture = calotype.decode(data, model=decoder, diffusion=OPTIONS, as_array=True)
            assert psnr(picture, photo) > 19, (made_by, decoder)


def test_a_tiny_sized_file_of_all_its_weights_is_understood(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {f"encoder.layers.{k}": v for k, v in load_file(TAESD / "taesd_encoder.safetensors").items()}
    for name, tensor in load_file(TAESD / "taesd_decoder.safetensors").items():
        index, parameter = name.split(".", 1)
        tensors[f"decoder.layers.{int(index) - 1}.{parameter}"] = tensor
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    latents = np.random.default_rng(1).standard_normal((4, 6, 6)).astype(np.float32)
    step = np.zeros((1, 6, 6), np.float32)
    values = []
    for weights in (TAESD, tmp_path / "diffusion_pytorch_model.safetensors"):
        options = replace(OPTIONS, weights=str(weights))
        values.append(load_decoder("taesd", 1, None, options).decode(latents, step, np.zeros(4)))
    np.testing.assert_array_equal(values[0], values[1])
