"""The joint stage and the context model's, from photographs to weights, in seconds."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import loop
import pytest
import torch
import train_context
import train_pictures
from assets import ASSETS
from context_model import ContextModel
from nets import Decoder, Encoder, grown
from safetensors.torch import load_file

NEEDED = (
    "data/train",
    "models/taesd",
    "models/lpips-squeeze",
    "models/lpips-alex-vgg",
    "tools/perceptual.py",
)
QUICK = ("--minutes", "0.03", "--batch", "4", "--photographs", "3", "--held-out", "1", "--threads", "1")

needs_assets = pytest.mark.skipif(
    not all((ASSETS / name).exists() for name in NEEDED),
    reason="the photographs, teachers and judges are not there: see training/README.md",
)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the runs; afterwards torch has its state of before."""
    for module in (loop, train_pictures, train_context):
        monkeypatch.setattr(module, "RUNS", tmp_path)
    threads, exact = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tmp_path
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = exact


@pytest.fixture
def run(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, Any]]]:
    """Runs a script within this process, for each import of torch takes seconds, and returns its rows."""

    def call(script: ModuleType, *arguments: str) -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", "--device", "cpu", *QUICK, *arguments])
        script.main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return call


@needs_assets
def test_the_stages_run_on_a_processor_and_continue(
    runs: Path, run: Callable[..., list[dict[str, Any]]]
) -> None:
    torch.manual_seed(3)
    state = {f"context_model.{name}": value for name, value in ContextModel().state_dict().items()}
    (runs / "context-0").mkdir()
    torch.save({"average": state}, runs / "context-0" / "last.pt")
    joint = ("--name", "pictures", "--entropy", "context-0", "--crop", "64", "--width", "4")
    joint += ("--validation", "64", "--discriminator-from", "0")
    for _ in range(2):  # the second goes on where the first ended, for no more than its last validation
        rows = run(train_pictures, *joint)
    assert rows[-1]["step"] >= 1 and {"56", "76", "56 by TAESD", "few", "even"} < set(rows[-1]["held out"])
    weights: dict[str, torch.Tensor] = {}
    for shard in (runs / "pictures").glob("weights-*.safetensors"):
        assert shard.stat().st_size < 15e6
        weights |= load_file(shard)
    parts = (("encoder", Encoder()), ("decoder", Decoder()), ("context_model", ContextModel()))
    for part, net in parts:
        net.load_state_dict({n.removeprefix(f"{part}."): v for n, v in weights.items() if n.startswith(part)})
    context = ("--name", "context", "--start", "pictures", "--warm-start", "context-0", "--crop", "64")
    (row,) = run(train_context, *context)
    assert row["step"] >= 1 and row["bytes@1.00"] > 0


def test_a_network_grows_without_a_change_of_what_it_computes() -> None:
    torch.manual_seed(4)
    small, large = Encoder((8, 16, 16), (1, 1, 1)), Encoder((16, 32, 48), (2, 2, 3))
    grown(small.state_dict(), large)
    pixels = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        assert torch.allclose(small(pixels), large(pixels), atol=1e-5)


def test_a_start_with_larger_networks_is_refused() -> None:
    with pytest.raises(ValueError, match="weight of the start is larger"):
        grown(Encoder((32, 32, 48), (1, 1, 1)).state_dict(), Encoder((16, 32, 48), (1, 1, 1)))
