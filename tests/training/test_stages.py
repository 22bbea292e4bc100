"""The joint stage and the context model's, from photographs to weights, in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from assets import ASSETS
from context_model import ContextModel
from nets import Decoder, Encoder, grown
from safetensors.torch import load_file

TRAINING = Path(__file__).parents[2] / "training"
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


def run(script: str, folder: Path, *arguments: str) -> list[dict]:
    environment = os.environ | {"CALOTYPE_RUNS": str(folder), "CALOTYPE_ASSETS": str(ASSETS)}
    command = [sys.executable, "-W", "ignore", str(TRAINING / script), "--device", "cpu", *QUICK, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@needs_assets
def test_the_stages_run_on_a_processor_and_continue(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = {f"context_model.{name}": value for name, value in ContextModel().state_dict().items()}
    (tmp_path / "context-0").mkdir()
    torch.save({"average": state}, tmp_path / "context-0" / "last.pt")
    joint = ("--name", "pictures", "--entropy", "context-0", "--crop", "64", "--width", "4")
    joint += ("--validation", "64", "--discriminator-from", "0")
    for _ in range(2):  # the second goes on where the first ended, for no more than its last validation
        rows = run("train_pictures.py", tmp_path, *joint)
    assert rows[-1]["step"] >= 1 and {"56", "76", "56 by TAESD", "few", "even"} < set(rows[-1]["held out"])
    weights: dict[str, torch.Tensor] = {}
    for shard in (tmp_path / "pictures").glob("weights-*.safetensors"):
        assert shard.stat().st_size < 15e6
        weights |= load_file(shard)
    parts = (("encoder", Encoder()), ("decoder", Decoder()), ("context_model", ContextModel()))
    for part, net in parts:
        net.load_state_dict({n.removeprefix(f"{part}."): v for n, v in weights.items() if n.startswith(part)})
    context = ("--name", "context", "--start", "pictures", "--warm-start", "context-0", "--crop", "64")
    (row,) = run("train_context.py", tmp_path, *context)
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
