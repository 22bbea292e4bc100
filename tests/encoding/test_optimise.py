"""Latent optimisation, with the tiny model and small budgets."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.compare.metrics.lpips import Lpips
from calotype.container import Header, parse_file, serialise_file
from calotype.encoding import optimise
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.plan import Plan
from calotype.encoding.rate import SizeTarget, TrialEncoder
from calotype.encoding.write import write_verified_file
from calotype.errors import CalotypeWarning, ModelError, SourceError
from calotype.latents import dequantise, level_map, reconstruct_latents
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, load_context_model, load_decoder, load_encoder
from calotype.options import EncodeOptions

torch = pytest.importorskip("torch", reason="effort 9 needs torch")
onnx = pytest.importorskip("onnx", reason="effort 9 needs onnx")

from calotype.encoding.optimise.descent import CodedLatents, LatentDescent  # noqa: E402
from calotype.encoding.optimise.differentiable_rate import DifferentiableRate  # noqa: E402
from calotype.encoding.optimise.distortion import Distortion  # noqa: E402
from calotype.models.onnx_torch import TorchGraph  # noqa: E402  (needs both)

ASSETS = Path(os.environ.get("CALOTYPE_ASSETS", Path(__file__).parents[3] / "shared"))
LPIPS_GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"
LEVEL = 50
HEADER = Header(
    coding=0, space=1, context_model=DEFAULT_CONTEXT_MODEL, encoder=250, width=96, height=64, level=0
)


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimise, "MAX_ITERATIONS", 12)


@pytest.fixture(scope="module")
def rgb() -> NDArray[np.uint8]:
    """Smooth shapes and texture, 96x64."""
    y, x, c = np.mgrid[:64, :96, :3]
    noise = np.random.default_rng(0).normal(0, 20, (8, 12, 3)).repeat(8, 0).repeat(8, 1)
    waves = 60 * np.sin(x / (9 + c)) * np.cos(y / 13)
    return np.clip(128 + waves + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def latents(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return load_encoder("tiny").encode(rgb.transpose(2, 0, 1).astype(np.float32) / 255)


def candidate_of(latents: NDArray[np.float32], **options: Any) -> Candidate:
    height, width = (8 * side for side in latents.shape[1:])
    header = replace(HEADER, width=width, height=height)
    plan = Plan.of(EncodeOptions(effort=6, **options), width, height)
    return code_latents(latents, header, (), plan.rate, plan.rdo)


def errors(data: bytes, rgb: NDArray[np.uint8]) -> Any:
    """What the descent measures, of the decoded picture."""
    pictures = (rgb, calotype.decode(data, model="tiny", as_array=True))
    tensors = [torch.from_numpy(p.transpose(2, 0, 1).astype(np.float32) / 255)[None] for p in pictures]
    distortion = Distortion()
    return distortion.terms(distortion.reference(tensors[0]), tensors[1])


def mosaic(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    blocks = rgb.reshape(8, 8, 12, 8, 3).mean((1, 3))
    return np.asarray(blocks.repeat(8, 0).repeat(8, 1))


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("level", [10, LEVEL, 84])
def test_the_differentiable_rate_predicts_the_payload_size(level: int, regions: bool) -> None:
    rng = np.random.default_rng(level)
    latents = np.cumsum(rng.normal(0, 0.3, (4, 21, 30)), 2).astype(np.float32)
    model = load_context_model(DEFAULT_CONTEXT_MODEL)
    refinement = np.zeros(latents.shape[1:], np.int64)
    refinement[4:15, 6:20] = 16 * regions
    trial = TrialEncoder(latents, model, 0.0, refinement=refinement).trial(level)
    levels = level_map(level, refinement)
    bits = float(DifferentiableRate(model, levels)(torch.from_numpy(dequantise(trial.integers, levels))))
    assert bits == pytest.approx(trial.bits, rel=0.01)
    assert bits / 8 == pytest.approx(len(trial.payload()), rel=0.02, abs=8)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_gradient_of_the_rate_points_to_larger_files(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, level = load_context_model(DEFAULT_CONTEXT_MODEL), LEVEL
    latents = np.cumsum(rng.normal(0, 0.2, (4, 16, 24)), 2).astype(np.float32)
    v = torch.from_numpy(latents).requires_grad_()
    (slope,) = torch.autograd.grad(DifferentiableRate(model, np.full((16, 24), level))(v), v)
    uphill = 0.05 * slope.sign().numpy()  # short: further down the code length rises again
    sizes = [TrialEncoder(latents + t * uphill, model, 0.0).trial(level).bits for t in (-1, 0, 1)]
    assert sizes == sorted(sizes)


def test_graphs_compute_what_onnx_runtime_computes(latents: NDArray[np.float32]) -> None:
    log_step = np.full((1, *latents.shape[1:]), -1.5, np.float32)
    for name in ("tiny", "pocket"):
        decoder = load_decoder(name, 1, 1)
        network = decoder.differentiable()  # type: ignore[attr-defined]
        likely = latents + np.float32(0.1)
        wanted = decoder.decode(latents, log_step, np.zeros(4), likely)
        with torch.no_grad():
            inputs = (torch.from_numpy(array)[None] for array in (latents, log_step, likely))
            pixels = network(*inputs)[0].numpy()
        assert np.abs(pixels - wanted).max() < 1e-4


def test_what_a_graph_cannot_do_is_named() -> None:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"])], "g", ends[:1], ends[1:])
    with pytest.raises(ModelError, match="Erf"):
        TorchGraph(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match="not an ONNX graph"):
        TorchGraph(b"\xff\xff")


def test_a_finer_start_is_recovered_from_a_spoilt_one(
    rgb: NDArray[np.uint8], latents: NDArray[np.float32]
) -> None:
    """Latents away from what the decoder wants are pulled back, without more bytes."""
    model = load_context_model(DEFAULT_CONTEXT_MODEL)
    spoilt = latents + np.random.default_rng(3).normal(0, 0.15, latents.shape).astype(np.float32)
    trial = TrialEncoder(spoilt, model, 0.0).trial(LEVEL)
    levels = np.full(latents.shape[1:], LEVEL)
    start = CodedLatents(trial.integers, trial.payload(), reconstruct_latents(trial.result, levels))
    network = load_decoder("tiny", 1, 1).differentiable()  # type: ignore[attr-defined]
    wanted = np.clip(mosaic(rgb) + 0.5, 0, 255).astype(np.uint8)
    calls: list[None] = []
    limit = SizeTarget(len(serialise_file(HEADER, start.payload, 0)), HEADER, ())
    descent = LatentDescent(spoilt, wanted, levels, model, network, Distortion())
    optimum = descent.run(start, limit, 25, 3600.0, lambda: calls.append(None))
    assert optimum.distortion < 0.8
    assert len(optimum.payload) <= len(start.payload)
    assert len(calls) == 25


def test_the_result_is_an_ordinary_file_no_larger_and_no_worse(
    rgb: NDArray[np.uint8], latents: NDArray[np.float32]
) -> None:
    plain = candidate_of(latents, target_size=90)
    refined = optimise.optimise_latents(plain, rgb, load_decoder("tiny", 1, 1), max_size=90, seconds=3600)
    files = [write_verified_file(candidate) for candidate in (plain, refined)]
    assert len(files[1]) == refined.size <= 90
    levels = [parse_file(data, limits=Limits(), strict=True).header.level for data in files]
    assert levels[0] == levels[1]
    ratios = errors(files[1], rgb) / errors(files[0], rgb)
    assert float(ratios.mean()) <= 1.01  # 8 bits decide the rest


def test_effort_9_of_the_codec(rgb: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    options: dict[str, Any] = {"model": "tiny", "decoder": "tiny", "target_size": 100}
    data = calotype.Codec().encode(rgb, effort=9, progress=lambda: calls.append(None), **options)
    assert len(data) <= 100 and len(calls) == 12
    monkeypatch.setattr(optimise, "MAX_ITERATIONS", 10**6)
    assert len(calotype.encode(rgb, effort=9, time_limit=0.2, **options)) <= 100


def test_without_a_target_the_size_is_that_of_the_plain_search(
    rgb: NDArray[np.uint8], latents: NDArray[np.float32]
) -> None:
    plain = candidate_of(latents, quality=60)
    refined = optimise.optimise_latents(
        plain, rgb, load_decoder("tiny", 1, 1), max_size=plain.size, seconds=3600
    )
    assert len(write_verified_file(refined)) <= len(write_verified_file(plain))


def test_without_torch_a_warning_and_the_plain_file(
    rgb: NDArray[np.uint8], latents: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, decoder = candidate_of(latents, quality=60), load_decoder("tiny", 1, 1)
    for name in ("calotype.models.onnx_torch", "calotype.encoding.optimise.descent"):
        monkeypatch.delitem(sys.modules, name)
    original = builtins.__import__

    def without_torch(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch" or name.startswith("torch."):
            raise ImportError("No module named 'torch'", name="torch")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.warns(CalotypeWarning, match=r"effort 9 .*torch.*pip install 'calotype\[sd\]'"):
        assert optimise.optimise_latents(plain, rgb, decoder, max_size=plain.size, seconds=3600) is plain


def test_a_decoder_without_gradients_is_reported(
    rgb: NDArray[np.uint8], latents: NDArray[np.float32]
) -> None:
    class Opaque:
        margin = last_margin = 0

        def decode(self, *arguments: Any) -> NDArray[np.float32]:
            raise AssertionError

    plain = candidate_of(latents, quality=60)
    with pytest.warns(CalotypeWarning, match="cannot be differentiated"):
        assert optimise.optimise_latents(plain, rgb, Opaque(), max_size=plain.size, seconds=3600) is plain


@pytest.mark.skipif(not LPIPS_GRAPH.is_file(), reason=f"needs {LPIPS_GRAPH}: set CALOTYPE_ASSETS")
def test_the_graph_of_lpips_is_the_metric_and_has_a_gradient(rgb: NDArray[np.uint8]) -> None:
    """The graph that the metric reads, as the last term of the distortion."""
    other = np.clip(rgb.astype(int) + np.random.default_rng(0).integers(-20, 21, rgb.shape), 0, 255)
    planes = (picture.transpose(2, 0, 1).astype(np.float32) / 255 for picture in (rgb, other))
    original, decoded = (torch.from_numpy(values)[None] for values in planes)
    distortion = Distortion(TorchGraph(LPIPS_GRAPH.read_bytes()))
    term = distortion.terms(distortion.reference(original), decoded.requires_grad_())[-1]
    assert float(term.detach()) == pytest.approx(Lpips(LPIPS_GRAPH)(rgb, other.astype(np.uint8)), rel=1e-3)
    assert torch.autograd.grad(term, decoded)[0].abs().sum() > 0


def test_a_broken_lpips_graph_is_an_error(
    rgb: NDArray[np.uint8], latents: NDArray[np.float32], tmp_path: Any
) -> None:
    plain, decoder = candidate_of(latents, quality=60), load_decoder("tiny", 1, 1)
    (tmp_path / "broken.onnx").write_bytes(b"\xff")
    with pytest.raises(ModelError, match="not an ONNX graph"):
        optimise.optimise_latents(
            plain, rgb, decoder, max_size=99, seconds=3600, lpips=str(tmp_path / "broken.onnx")
        )
    with pytest.raises(SourceError, match="missing"):
        optimise.optimise_latents(
            plain, rgb, decoder, max_size=99, seconds=3600, lpips=str(tmp_path / "missing.onnx")
        )


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_the_command_shows_its_progress_and_keeps_to_its_time(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    import pty

    Image.fromarray(rgb.repeat(3, 0).repeat(3, 1)).save(tmp_path / "a.png")
    options = ["-m", "tiny", "--decoder", "tiny", "-e", "9", "--target-size", "250", "--time-limit", "0.05"]
    terminal, standard_error = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "calotype", "encode", *options, "a.png", "a.calo"],
        cwd=tmp_path,
        stderr=standard_error,
    ) as process:
        os.close(standard_error)
        said = b""
        try:
            while block := os.read(terminal, 4096):
                said += block
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(terminal)
    assert process.returncode == 0, said
    assert b"[--" in said
    assert int(re.findall(rb"(\d+)/6", said)[-1]) < 6  # the limit is for a few iterations
    assert b"bytes" in said.splitlines()[-1]
    assert (tmp_path / "a.calo").stat().st_size <= 250
