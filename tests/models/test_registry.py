"""The model registry, the ONNX models, and tiles that equal the whole."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype import models
from calotype.errors import ModelError, UnsupportedError
from calotype.latents import SD1, log_step_map
from calotype.models import loaders, onnx_model, registry, shipped, tiling

WEIGHTS = Path(registry.__file__).parent / "weights"
NOISE = np.full(4, 0.1)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for the shipped weights, with the tiny model's in it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in (*WEIGHTS.glob("tiny-*"), WEIGHTS / "sha256.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    return folder


def test_ids_and_names_are_unique_and_in_range() -> None:
    infos = models.list_models()
    for field in ("id", "name"):
        values = [getattr(info, field) for info in infos]
        assert len(set(values)) == len(values)
    assert {"pocket", "tiny"} <= {info.name for info in infos}
    assert all(1 <= info.id <= 255 for info in infos)
    assert all(info.space == SD1.name and info.description for info in infos)


def test_names_and_ids_belong_together() -> None:
    for info in models.list_models():
        assert models.model_id(info.name) == info.id
        assert models.model_name_of_id(info.id) == info.name


def test_what_is_shipped_has_the_hashes_listed() -> None:
    hashes = json.loads((WEIGHTS / "sha256.json").read_text("utf-8"))
    shipped = {path.name for path in WEIGHTS.iterdir()} - {"sha256.json"}
    assert shipped == set(hashes)
    for name, expected in hashes.items():
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == expected
    listed = {sha256 for info in models.list_models() for sha256 in info.sha256.values()}
    assert {name for name, value in hashes.items() if name.endswith(".onnx") and value not in listed} == {
        "faces-240.onnx",  # neither is a model: they are loaded beside others
        "post-filter-240.onnx",
    }


@pytest.mark.parametrize("name", ["pocket", "tiny"])
def test_embedded_models_are_available(name: str) -> None:
    info = next(info for info in models.list_models() if info.name == name)
    assert info.available and info.roles == ("encoder", "decoder") and set(info.sha256) == set(info.roles)
    size = sum(path.stat().st_size for path in WEIGHTS.glob(f"{name}-{info.id}-*.onnx"))
    assert info.size_bytes == size > 0


def test_unknown_names_and_ids_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"unknown model 'nosuch': .*pocket, .*tiny"):
        models.model_id("nosuch")
    with pytest.raises(ModelError, match="'nosuch'"):
        models.load_encoder("nosuch")
    with pytest.raises(ModelError, match="'nosuch'"):
        models.load_decoder("nosuch", SD1.id)
    with pytest.raises(UnsupportedError, match="model 77"):
        models.model_name_of_id(77)
    with pytest.raises(UnsupportedError, match="context model 77"):
        models.load_context_model(77)
    with pytest.raises(UnsupportedError, match="space 77"):
        models.latent_space_of_id(77)
    assert models.latent_space_of_id(SD1.id) is SD1


def test_weights_of_another_hash_are_refused(weights: Path) -> None:
    file = weights / "tiny-250-decoder.onnx"
    models.load_decoder("tiny", SD1.id, threads=1)
    file.write_bytes(file.read_bytes() + b"\0")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=f"tiny-250-decoder.onnx has the SHA-256 {sha256}, not .*reinstall"):
        models.load_decoder("tiny", SD1.id)


def test_missing_weights_are_refused(weights: Path) -> None:
    (weights / "tiny-250-encoder.onnx").unlink()
    with pytest.raises(ModelError, match=r"tiny-250-encoder\.onnx is missing: reinstall"):
        models.load_encoder("tiny")
    tiny = next(info for info in models.list_models() if info.name == "tiny")
    assert not tiny.available
    assert tiny.size_bytes == (weights / "tiny-250-decoder.onnx").stat().st_size


def test_listing_reads_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes = Path.read_bytes

    def only_small_files(path: Path) -> bytes:
        data = read_bytes(path)
        assert len(data) < 10_000, path
        return data

    monkeypatch.setattr(Path, "read_bytes", only_small_files)
    for info in models.list_models():
        if models.is_embedded(info.name):
            assert info.size_bytes == sum(path.stat().st_size for path in WEIGHTS.glob(f"{info.name}-*.onnx"))


def test_listing_loads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; from calotype.models import list_models; list_models(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime"} & set(done.stdout.split())
    for loader in ("OnnxEncoder", "OnnxDecoder", "read_context_model"):
        monkeypatch.setattr(loaders, loader, lambda *_: pytest.fail("loaded"))
    models.list_models()


def test_a_graph_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot load"):
        onnx_model.OnnxEncoder(b"no graph", margin=0, threads=1)


def test_a_missing_runtime_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="pip install onnxruntime"):
        models.load_encoder("tiny")


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (7, 3)])
def test_models_keep_to_shapes_and_types(shape: tuple[int, int]) -> None:
    height, width = shape
    pixels = np.random.default_rng(1).random((3, 8 * height, 8 * width), np.float32)
    latents = models.load_encoder("tiny", threads=1).encode(pixels)
    assert latents.shape == (4, height, width) and latents.dtype == np.float32
    decoder = models.load_decoder("tiny", SD1.id, threads=1)
    decoded = decoder.decode(latents, np.zeros((1, height, width), np.float32), NOISE)
    assert decoded.shape == pixels.shape and decoded.dtype == np.float32
    means = pixels.reshape(3, height, 8, width, 8).mean((2, 4)).repeat(8, 1).repeat(8, 2)
    assert np.abs(decoded - means).max() < 0.02


def test_views_that_are_not_contiguous_are_accepted() -> None:
    latents = np.random.default_rng(2).standard_normal((4, 6, 10)).astype(np.float32)
    log_step = np.zeros((1, 6, 10), np.float32)
    decoder = models.load_decoder("tiny", SD1.id, threads=1)
    part = decoder.decode(latents[:, 1:4, 2:9], log_step[:, 1:4, 2:9], NOISE)
    assert np.array_equal(part, decoder.decode(latents, log_step, NOISE)[:, 8:32, 16:72])


def smooth(channels: int, height: int, width: int, scale: int) -> NDArray[np.float32]:
    """Random, and the same within about ``scale``: float32[channels, height, width], unit variance."""
    rng = np.random.default_rng(4)
    coarse = rng.standard_normal((channels, height // scale + 3, width // scale + 3))
    field = coarse.repeat(scale, 1).repeat(scale, 2)
    kernel = np.ones(scale) / scale
    for axis in (1, 2):
        field = np.apply_along_axis(np.convolve, axis, field, kernel, "valid")
    return (field[:, :height, :width] / field.std()).astype(np.float32)


@pytest.mark.slow
def test_a_tiled_decode_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = models.load_decoder("pocket", SD1.id, threads=1)
    latents = smooth(4, 88, 9, 3)
    log_step = log_step_map(np.full((88, 9), 56))
    coded = models.DecoderInput(latents, log_step, NOISE, conditional_mean=latents)
    whole = tiling.decode_tiled(decoder, coded).astype(int)
    monkeypatch.setattr(tiling, "MAX_POSITIONS", 50 * 9)
    tiled = tiling.decode_tiled(decoder, coded)
    assert whole.std() > 5  # there is something to be seen
    assert np.abs(tiled - whole).max() <= 1


class ShowsWhatIsExpected:
    """A decoder that looks at the expected latents, the steps and the origin, only."""

    margin = last_margin = 2

    def decode(self, *inputs: Any) -> NDArray[np.float32]:
        latents, log_step, _, expected, origin, part = inputs
        assert np.array_equal(latents[0, 0, 0], np.ravel_multi_index(origin, (13, 11)))
        return (expected[:3] + log_step)[:, *part].repeat(8, 1).repeat(8, 2)


def test_tiles_cut_conditional_means_as_they_cut_latents(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.random.default_rng(2).random((4, 13, 11), np.float32)
    numbered = np.arange(4 * 13 * 11, dtype=np.float32).reshape(expected.shape)
    coded = models.DecoderInput(numbered, np.zeros((1, 13, 11), np.float32), NOISE, expected)
    monkeypatch.setattr(tiling, "MAX_POSITIONS", 12 * 11)
    shown = tiling.decode_tiled(ShowsWhatIsExpected(), coded)
    assert np.abs(shown[::8, ::8] / 255 - expected[:3].transpose(1, 2, 0)).max() < 1 / 255


@pytest.mark.slow
def test_a_tiled_encode_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = models.load_encoder("pocket", threads=1)
    rgb = np.clip(128 + 50 * smooth(3, 8 * 72, 72, 12), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    whole = tiling.encode_tiled(encoder, rgb)
    monkeypatch.setattr(tiling, "MAX_POSITIONS", 56 * 9)
    tiled = tiling.encode_tiled(encoder, rgb)
    assert whole.std() > 0.1
    # A tenth of the finest step that encoders use (0.044): far less than quantisation does.
    assert np.abs(tiled - whole).max() <= 0.004
