"""The page of the codec's stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.compare import bit_map, encode_in_stages, write_stage_pages
from calotype.compare.latent_view import heat_picture, latent_picture, plane_picture
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.errors import UnsupportedError
from calotype.limits import Limits


def test_bits_add_up_to_the_payload(photo: NDArray[np.uint8]) -> None:
    data = calotype.encode(photo, model="tiny", target_size=1500, scale=1)
    bits = bit_map(data)
    assert bits.shape == (24, 26) and bits.dtype == np.float32
    payload = calotype.read_info(data).payload_size
    assert payload - 12 <= bits.sum() / 8 <= payload + 2
    assert bits.min() > 0


def test_bits_go_where_the_picture_is_busy() -> None:
    rng = np.random.default_rng(3)
    half = np.full((128, 128, 3), 90, np.uint8)
    half[:, 64:] = rng.integers(0, 256, (16, 8, 3)).repeat(8, 0).repeat(8, 1)
    bits = bit_map(calotype.encode(half, model="tiny", quality=60, effort=1))
    assert bits[:, 8:].mean() > 1.5 * bits[:, :8].mean()


def test_the_palette_has_no_bit_map(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(UnsupportedError, match="hierarchical"):
        bit_map(calotype.encode(photo, model="tiny", recipe="palette"))


@pytest.mark.parametrize(("target", "columns"), [(1500, 40), (200, 20)])
def test_stages_belong_to_one_file(photo: NDArray[np.uint8], target: int, columns: int) -> None:
    stages = encode_in_stages(photo, target_size=target, model="tiny")
    assert len(stages.data) <= target
    assert stages.bits.shape[1] == stages.latents.shape[2] <= columns
    assert np.array_equal(stages.decoded, np.asarray(calotype.decode(stages.data, model="tiny")))
    dequantised = decode_latents(parse_file(stages.data, limits=Limits())).latents
    assert stages.latents.shape == stages.integers.shape == dequantised.shape
    assert np.corrcoef(stages.latents.ravel(), dequantised.ravel())[0, 1] > 0.9
    assert ((stages.integers == 0) == (dequantised == 0)).all()
    assert stages.order0_bytes > 0.5 * len(stages.data)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 3), (3, 3, 3), (64, 64, 3)], ids=str)
def test_tiny_and_flat_pictures_have_their_page(tmp_path: Path, shape: tuple[int, ...]) -> None:
    Image.fromarray(np.full(shape, 90, np.uint8)).save(tmp_path / "flat.png")
    stages = write_stage_pages(tmp_path / "flat.png", tmp_path / "out", model="tiny", target_size=500)
    assert replace(stages, integers=np.zeros_like(stages.integers)).order0_bytes == 0
    assert "which saves nothing." in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_order_0_is_the_entropy_of_each_channel() -> None:
    stages = encode_in_stages(np.full((8, 64, 3), 7, np.uint8), target_size=500, model="tiny")
    integers = np.zeros((4, 1, 8), np.int16)
    integers[0, 0, :4] = 1  # one bit for each of eight positions
    assert replace(stages, integers=integers).order0_bytes == 1


def test_pictures_of_latents_and_bits() -> None:
    assert latent_picture(np.zeros((4, 2, 3), np.float32)).tolist() == [[[121, 114, 102]] * 3] * 2
    grey = plane_picture(np.array([[-2, 0, 1]], np.int16))
    assert grey[0, :, 0].tolist() == [0, 128, 191]
    heat = heat_picture(np.array([[0, 5, 10, 99]], np.float32), 10).astype(int).sum(-1)[0]
    assert heat[0] < heat[1] < heat[2] == heat[3]


def test_the_page_holds_its_pictures_and_file(stages_page: Path) -> None:
    page = (stages_page / "index.html").read_text("utf-8")
    for name in ("original", "latents", "integers-0", "integers-3", "bits", "decoded"):
        assert f"{name}.png" in page and (stages_page / f"{name}.png").is_file()
    (file,) = stages_page.glob("*.calo")
    data = file.read_bytes()
    assert f"{len(data):,} <small>" in page
    assert " ".join(f"<b>{byte:02x}</b>" for byte in data[:16]) in page
    assert "$" not in page.replace("${", "")
