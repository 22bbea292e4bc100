"""The shipped networks as a run, for stages to start from where the earlier runs are not at hand.

``python training/restore.py --name shipped``. The weights are those of the ONNX files, 8 bits and all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import torch
from loop import RUNS
from nets import Decoder, Encoder
from onnx.numpy_helper import to_array
from seal import WEIGHTS
from torch import Tensor, nn


def restored(net: nn.Module, graph: Path) -> dict[str, Tensor]:
    """The state of ``net`` by what ``export_networks.py`` wrote."""
    stored = {
        tensor.name: torch.from_numpy(to_array(tensor).copy())
        for tensor in onnx.load(graph).graph.initializer
    }
    return {
        name: stored[f"{name}_small"].float() * stored.get(f"{name}_scale", torch.ones(()))
        for name in net.state_dict()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="shipped")
    folder = RUNS / parser.parse_args().name
    folder.mkdir(parents=True, exist_ok=True)
    average: dict[str, Tensor] = {}
    for part, net in (("encoder", Encoder()), ("decoder", Decoder())):
        state = restored(net, WEIGHTS / f"pocket-240-{part}.onnx")
        average |= {f"{part}.{name}": value for name, value in state.items()}
    torch.save({"average": average}, folder / "last.pt")


if __name__ == "__main__":
    main()
