"""Latents as data: arrays and trainers' caches to .calo files and back."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype import errors
from calotype.cli import main
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.latent_files import CachedLatents, pack_cache, unpack_cache
from calotype.limits import Limits

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def latents() -> NDArray[np.float32]:
    """Scaled latents of an imaginary picture of 72x48 pixels, with a deviation of about 1."""
    noise = np.random.default_rng(4).normal(0, 0.3, (4, 6, 9))
    return (np.cumsum(noise, 2) + noise).astype(np.float32)


def rms(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


@pytest.mark.parametrize("folder", ["fine-64x64", "regions-first-112x80", "smaller-47x36"])
def test_latents_are_those_that_the_decoder_has(folder: str) -> None:
    path = GOLDEN / "context-242" / folder / "picture.calo"
    reconstruction = decode_latents(parse_file(path.read_bytes(), limits=Limits()))
    info = calotype.read_info(path)
    latents = calotype.read_latents(path)
    assert latents.dtype == np.float32
    assert latents.shape == (4, -(-info.coded_height // 8), -(-info.coded_width // 8))
    assert np.array_equal(latents, reconstruction.latents)
    assert np.array_equal(calotype.read_latents(path, conditional_mean=True), reconstruction.conditional_mean)
    assert calotype.read_latents(path, scaled=False) == pytest.approx(latents / 0.18215, rel=1e-6)


def test_a_file_that_ends_too_early_has_latents_in_part() -> None:
    data = (GOLDEN / "context-242" / "fine-64x64" / "picture.calo").read_bytes()
    with pytest.raises(errors.TruncatedError):
        calotype.read_latents(data[:200])
    part = calotype.read_latents(data[:200], partial=True)
    whole = calotype.read_latents(data)
    assert part.shape == whole.shape
    assert np.array_equal(part[:, ::8, ::8], whole[:, ::8, ::8]) and not np.array_equal(part, whole)


@pytest.mark.parametrize("effort", [4, 6])
def test_a_finer_quality_has_a_smaller_error(latents: NDArray[np.float32], effort: int) -> None:
    errors = []
    for quality in (30, 60, 90):
        data = calotype.write_latents(latents, quality=quality, effort=effort)
        errors.append((len(data), rms(calotype.read_latents(data), latents)))
    assert errors[0][0] < errors[1][0] < errors[2][0]
    assert errors[0][1] > errors[1][1] > errors[2][1]


def test_the_step_bounds_the_error(latents: NDArray[np.float32]) -> None:
    data = calotype.write_latents(latents, step=0.1, effort=1)
    info = calotype.read_info(data)
    assert info.step == pytest.approx(0.1, rel=0.025)
    assert (info.width, info.height, info.encoder, info.mode) == (72, 48, "sd-1.5", "RGB")
    error = calotype.read_latents(data) - latents
    assert np.abs(error).max() < 0.1 * 2 ** (3 / 16) / 2 * 1.03  # of the channel with the coarsest steps
    assert rms(error, 0) == pytest.approx(0.29 * 0.1, rel=0.2)
    coarse = calotype.write_latents(latents, step=2.5, effort=1)
    mean = calotype.read_latents(coarse, conditional_mean=True)
    assert rms(mean, latents) < 0.98 * rms(calotype.read_latents(coarse), latents)


def test_sizes_targets_and_models_are_kept(latents: NDArray[np.float32]) -> None:
    data = calotype.write_latents(latents, width=65, height=41, model="taesd", target_size=150)
    info = calotype.read_info(data)
    assert (info.width, info.height, info.encoder) == (65, 41, "taesd")
    assert len(data) <= 150
    image = calotype.decode(data, model="tiny")
    assert image.size == (65, 41)
    with pytest.raises(errors.TargetSizeError):
        calotype.write_latents(latents, target_size=26)


def test_unscaled_and_half_precision_latents_are_taken(latents: NDArray[np.float32]) -> None:
    expected = calotype.read_latents(calotype.write_latents(latents, quality=80))
    unscaled = calotype.write_latents((latents / 0.18215).tolist(), scaled=False, quality=80)
    assert rms(calotype.read_latents(unscaled), expected) < 0.01
    half = calotype.write_latents(latents.astype(np.float16), quality=80)
    assert rms(calotype.read_latents(half), expected) < 0.01


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (lambda x: x[:3], {}, ValueError, r"shape \(3, 6, 9\)"),
        (lambda x: x[:, :0], {}, ValueError, r"shape \(4, 0, 9\)"),
        (lambda x: x[None], {}, ValueError, r"shape \(1, 4, 6, 9\)"),
        (lambda x: x * np.nan, {}, ValueError, "must be finite"),
        (lambda x: x * 1e4, {}, ValueError, "at most 1000"),
        (lambda x: x.astype(str), {}, TypeError, "array of numbers"),
        (lambda x: x, {"width": 73}, ValueError, r"width \(=73\) must be between 65 and 72"),
        (lambda x: x, {"height": 40}, ValueError, r"height \(=40\) must be between 41 and 48"),
        (lambda x: x, {"step": 0.01}, ValueError, r"step \(=0.01\) must be between 0.044 and 2.83"),
        (lambda x: x, {"step": 0.1, "quality": 50}, ValueError, "step and quality exclude each other"),
        (lambda x: x, {"quality": 200}, ValueError, "quality"),
        (lambda x: x, {"protect": "none"}, TypeError, "protect is no option for latents"),
        (lambda x: x, {"limits": Limits(max_pixels=100)}, errors.LimitError, "72x48"),
    ],
)
def test_refusals(
    latents: NDArray[np.float32], change: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        calotype.write_latents(change(latents), **arguments)


@pytest.mark.parametrize("format_name", ["npz", "safetensors"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_caches_and_back(latents: NDArray[np.float32], format_name: str, scaled: bool, dtype: Any) -> None:
    entry = CachedLatents(latents, 72, 48)
    data = pack_cache(entry, format_name, dtype=dtype, scaled=scaled)
    unpacked, unused = unpack_cache(data, f"photo.{format_name}", scaled=scaled)
    assert (unpacked.width, unpacked.height, unused) == (72, 48, ())
    assert rms(unpacked.scaled, latents) < (1e-6 if dtype == "float32" else 1e-3)


def test_the_layout_is_that_of_sd_scripts(latents: NDArray[np.float32]) -> None:
    entry = CachedLatents(latents, 72, 48)
    with np.load(io.BytesIO(pack_cache(entry, "npz"))) as plain:
        assert plain["latents"].dtype == np.float32
        assert plain["latents"] == pytest.approx(latents / 0.18215, rel=1e-5)
        assert plain["original_size"].tolist() == [72, 48]
        assert plain["crop_ltrb"].tolist() == [0, 0, 72, 48]
    with np.load(io.BytesIO(pack_cache(entry, "npz", size_in_names=True))) as named:
        assert set(named) == {"latents_6x9", "original_size_6x9", "crop_ltrb_6x9"}


def test_one_of_several_sizes_is_chosen_and_the_rest_named(latents: NDArray[np.float32]) -> None:
    content = io.BytesIO()
    arrays = {"latents_6x9": latents, "latents_6x8": latents[..., :8], "latents_flipped_6x9": latents}
    np.savez_compressed(content, original_size_6x9=[1, 2], crop_ltrb_6x9=[0, 0, 1, 2], **arrays)
    unpacked, unused = unpack_cache(content.getvalue(), "photo.npz", scaled=True, size="6x8")
    assert np.array_equal(unpacked.scaled, latents[..., :8])
    assert unused == ("latents_6x9", "latents_flipped_6x9") or set(unused) == {
        "latents_6x9",
        "latents_flipped_6x9",
    }
    with pytest.raises(errors.SourceError, match=r"several sizes \(6x9, 6x8\)"):
        unpack_cache(content.getvalue(), "photo.npz")
    with pytest.raises(errors.SourceError, match="no latents of size 7x7"):
        unpack_cache(content.getvalue(), "photo.npz", size="7x7")


def test_a_latent_of_comfyui_is_read(latents: NDArray[np.float32]) -> None:
    numpy_format = pytest.importorskip("safetensors.numpy")
    data = numpy_format.save(
        {"latent_tensor": latents[None] / np.float32(0.18215), "latent_format_version_0": np.zeros(0)}
    )
    unpacked, unused = unpack_cache(data, "photo.latent")
    assert unused == () and unpacked.scaled == pytest.approx(latents, abs=1e-5)


def npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def lying_npz() -> bytes:
    """Latents whose header claims 16 GB, of pictures larger than the limits allow."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (4, 32768, 32768)}
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("latents.npy", header.getvalue())
    return content.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "error", "message"),
    [
        (b"anything", "photo.pt", errors.SourceError, "is a pickle"),
        (b"PK\x03\x04....photo/data.pkl", "photo", errors.SourceError, "is a pickle"),
        (b"anything", "photo.npz", errors.SourceError, "neither a .npz nor a .safetensors"),
        (b"PK\x03\x04anything", "photo.npz", errors.SourceError, "no readable .npz"),
        (npz(other=np.zeros(3)), "photo.npz", errors.SourceError, "no latents: its arrays are other"),
        (npz(latents=np.zeros((16, 8, 8))), "photo.npz", errors.SourceError, r"shape \(16, 8, 8\)"),
        (npz(latents=np.zeros((4, 8, 8), int)), "photo.npz", errors.SourceError, "type int64"),
        (npz(latents=np.full((4, 8, 8), np.inf)), "photo.npz", errors.SourceError, "no numbers"),
        (npz(latents=np.array([{}], object)), "photo.npz", errors.SourceError, "type object|pickle"),
        (npz(latents=np.zeros((4, 8, 8)))[:-70], "photo.npz", errors.SourceError, "no readable .npz"),
        (lying_npz(), "photo.npz", errors.LimitError, "longest side"),
    ],
)
def test_caches_that_cannot_be_read(data: bytes, name: str, error: type[Exception], message: str) -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(error, match=message):
        unpack_cache(data, name)


def test_without_safetensors_npz_works(latents: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    entry = CachedLatents(latents, 72, 48)
    assert unpack_cache(pack_cache(entry, "npz"), "photo.npz")
    with pytest.raises(errors.ModelError, match=r"pip install 'calotype\[latents\]'"):
        pack_cache(entry, "safetensors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latents: NDArray[np.float32]) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.calo").write_bytes(calotype.write_latents(latents, quality=80, effort=4))
    return tmp_path


def test_export_and_import(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latents", "export", "photo.calo", "photo.npz"]) == 0
    assert "photo.calo -> photo.npz: latents of 6x9, " in capsys.readouterr().err
    command = ["latents", "import", "-q", "80", "--effort", "4", "--json", "photo.npz", "back.calo"]
    assert main(command) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["rows"], record["columns"], record["ok"]) == (6, 9, True)
    exact = calotype.read_latents("photo.calo")
    assert np.array_equal(calotype.read_latents("back.calo"), exact)
    assert (
        main(["latents", "export", "--format", "safetensors", "--dtype", "float16", *2 * ["photo.calo"]]) == 2
    )
    capsys.readouterr()
    (folder / "other.calo").write_bytes((folder / "photo.calo").read_bytes())
    command = ["latents", "export", "--format", "safetensors", "--conditional-mean", "--scaled"]
    assert main([*command, "photo.calo", "other.calo", "cache/"]) == 0
    unpacked, _ = unpack_cache((folder / "cache" / "other.safetensors").read_bytes(), "", scaled=True)
    assert np.array_equal(unpacked.scaled, calotype.read_latents("photo.calo", conditional_mean=True))


def test_what_import_and_export_warn_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latents", "export", "--scaled", "photo.calo", "photo.npz"]) == 0
    assert main(["latents", "import", "photo.npz", "wrong.calo"]) == 0
    assert "warning: photo.npz: the deviation of the latents is 0." in capsys.readouterr().err
    np.savez("photo.npz", latents=np.ones((4, 8, 8)) * np.arange(8), latents_flipped=np.ones((4, 8, 8)))
    assert main(["latents", "import", "photo.npz", "part.calo"]) == 0
    assert "warning: photo.npz: left out: latents_flipped" in capsys.readouterr().err
    image = Image.new("RGB", (64, 48), "teal")
    Path("small.calo").write_bytes(calotype.encode(image, model="tiny", effort=1, scale=0.5))
    assert main(["latents", "export", "small.calo", "small.npz"]) == 0
    assert "coded at 32x24 pixels, not at 64x48" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["import", "photo.pt", "out.calo"], 1, "photo.pt: is a pickle"),
        (["import", "-q", "50", "--step", "1", "photo.pt", "out.calo"], 2, "--quality and --step exclude"),
        (["import", "--step", "9", "photo.npz", "out.calo"], 1, "step (=9.0) must be between"),
        (["import", "--target-size", "20", "photo.npz", "out.calo"], 1, "target size 20 bytes is too small"),
        (["import", "photo.calo", "out.calo"], 1, "neither a .npz nor a .safetensors"),
        (["export", "photo.npz", "out.npz"], 3, "photo.npz: "),
        (["export", "none.calo", "out.npz"], 1, "none.calo: cannot be read"),
    ],
)
def test_refused_commands(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    pytest.importorskip("safetensors")
    Path("photo.pt").write_bytes(b"PK\x03\x04")
    np.savez("photo.npz", latents=np.ones((4, 8, 8)) * np.arange(8))
    before = sorted(folder.iterdir())
    assert main(["latents", *arguments]) == code
    assert message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
