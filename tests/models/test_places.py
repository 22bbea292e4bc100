"""The device of the embedded networks: how it is chosen, and the errors for a missing one."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import calotype
from calotype.cli import cli
from calotype.errors import ModelError
from calotype.models import list_models, places, products
from calotype.models.places import CPU, Place, choose_place

GPU_BUILD = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def torch_with(cuda: int = 0, mps: bool = False) -> Any:
    """A stand-in for torch on a machine with these devices."""
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(device_count=lambda: cuda)  # type: ignore[attr-defined]
    torch.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: mps))  # type: ignore[attr-defined]
    return torch


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The providers of a stand-in for ONNX Runtime, all of which start; without torch."""
    found: list[str] = ["CPUExecutionProvider"]
    runtime = types.SimpleNamespace(get_available_providers=lambda: found)
    monkeypatch.setattr(places, "import_onnxruntime", lambda: runtime)
    monkeypatch.setattr(places, "provider_starts", lambda graph, provider, number: number < 2)
    monkeypatch.setitem(sys.modules, "torch", None)
    return found


def test_the_cpu_is_the_default_and_loads_no_torch(providers: list[str]) -> None:
    assert choose_place() == choose_place("cpu") == choose_place("cpu", "float32") == CPU
    assert str(CPU) == "cpu (onnxruntime, float32)"


def test_a_build_for_gpus_is_used(providers: list[str]) -> None:
    providers[:] = GPU_BUILD
    assert choose_place() == Place(device="cuda", provider="CUDAExecutionProvider")
    assert choose_place("cuda:1") == Place(device="cuda:1", provider="CUDAExecutionProvider")
    assert choose_place("cpu") == CPU
    providers[:] = ["DmlExecutionProvider", "CPUExecutionProvider"]
    assert choose_place().device == "directml"
    providers[:] = ["CoreMLExecutionProvider", "CPUExecutionProvider"]
    assert choose_place() == CPU
    assert choose_place("mps") == Place(device="mps", provider="CoreMLExecutionProvider")


def test_a_build_whose_gpu_does_not_work_is_not(
    providers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    providers[:] = GPU_BUILD
    monkeypatch.setattr(places, "provider_starts", lambda graph, provider, number: False)
    assert choose_place() == CPU
    with pytest.raises(ModelError, match=r"torch is missing: pip install 'calotype\[sd\]'"):
        choose_place("cuda")


def test_torch_is_used_if_it_is_named_or_loaded(
    providers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_with(cuda=2))
    assert choose_place() == choose_place("cuda") == Place("torch", "cuda")
    assert choose_place("cuda:1", "float16") == Place("torch", "cuda:1", "float16")
    assert choose_place("auto", "bfloat16") == Place("torch", "cuda", "bfloat16")
    for missing in ("cuda:2", "mps"):
        with pytest.raises(ModelError, match=f"the device {missing} is not available here"):
            choose_place(missing)
    monkeypatch.setitem(sys.modules, "torch", torch_with(mps=True))
    assert choose_place("mps") == choose_place() == Place("torch", "mps")


def test_what_the_cpu_cannot_do_is_refused(providers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_with())
    for device in ("cpu", "auto"):
        with pytest.raises(ModelError, match="bfloat16 needs a GPU"):
            choose_place(device, "bfloat16")
    with pytest.raises(ModelError, match="openvino computes on the CPU, not on cuda"):
        choose_place("cuda", backend="openvino")
    assert choose_place(backend="openvino-bf16") == Place("openvino", dtype="bfloat16")


def test_invalid_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"device \(=gpu\)"):
        calotype.Codec(device="gpu")
    with pytest.raises(ValueError, match=r"dtype \(=int8\)"):
        calotype.Codec(dtype="int8")
    with pytest.raises(TypeError, match="device"):
        calotype.Codec(device=0)  # type: ignore[arg-type]


def test_a_provider_that_is_not_built_in_does_not_start(recwarn: pytest.WarningsRecorder) -> None:
    """ONNX Runtime warns of the unknown provider and takes the CPU."""
    assert not places._has_provider("NoSuchExecutionProvider")
    graph = places.read_shipped_file(places._PROBE)
    with pytest.warns(UserWarning, match="NoSuchExecutionProvider"):
        assert not places.provider_starts(graph, "NoSuchExecutionProvider", 0)


def test_commands_say_where_networks_run(tmp_path: Any) -> None:
    run = CliRunner().invoke
    source, target = tmp_path / "in.png", tmp_path / "out.calo"
    calotype.decode(calotype.encode(np.zeros((16, 16, 3), np.uint8), model="tiny"), model="tiny").save(source)
    done = run(cli, ["encode", "-m", "tiny", "-v", "--device", "cpu", str(source), str(target)])
    assert done.exit_code == 0 and "on cpu (onnxruntime, float32)" in done.stderr
    done = run(cli, ["decode", "-m", "tiny", "-v", str(target), str(tmp_path / "out.png")])
    assert done.exit_code == 0 and "on cpu (onnxruntime, float32)" in done.stderr
    text = run(cli, ["models"]).stdout
    assert text.count("on cpu (onnxruntime, float32)") == 2 < len(list_models())


def test_without_onnx_runtime_the_context_model_uses_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    products._choose_product.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert products._choose_product() is products.reference_product
    products._choose_product.cache_clear()
