"""Makes runs of the shipped networks, from which stages can start if there is no earlier run.

``python training/restore.py --name shipped`` makes the run ``shipped``, and ``shipped-faces`` of the face
finder. The weights are those of the shipped files, rounded to 8 bits. Of the context model's density only
frequency tables are shipped; the density is fitted to them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from context_model import BIAS_UNIT, ContextModel, IntConv, Shape
from export_entropy import density, frequencies
from loop import RUNS
from onnx.numpy_helper import to_array
from seal import WEIGHTS
from torch import Tensor

from calotype.entropy.tables import FREQUENCY_TOTAL


def restored(graph: Path) -> dict[str, Tensor]:
    """Returns the state of a network from the file that ``export_networks.py`` wrote."""
    stored = {
        tensor.name: torch.from_numpy(to_array(tensor).copy())
        for tensor in onnx.load(graph).graph.initializer
    }
    names = [name.removesuffix("_small") for name in stored if name.endswith("_small")]
    return {
        name: stored[f"{name}_small"].float() * stored.get(f"{name}_scale", torch.ones(())) for name in names
    }


def restored_context_model(file: Path) -> dict[str, Tensor]:
    """Returns the state of a ``ContextModel`` from the file that ``export_entropy.py`` wrote."""
    arrays, model = np.load(file), ContextModel().requires_grad_(False)
    weight, multiplier, bias = (
        torch.from_numpy(arrays[name].astype(np.float64)) for name in ("weight", "multiplier", "bias")
    )
    for layer in model.modules():
        if isinstance(layer, IntConv):
            count, outputs = layer.weight.numel(), len(layer.bias)
            integer = weight[:count].reshape(layer.weight.shape)
            layer.weight.copy_(integer * multiplier[:outputs].view(-1, 1, 1, 1) / 65536)
            layer.bias.copy_((bias[:outputs] - 32768) / 65536 / BIAS_UNIT)
            weight, multiplier, bias = weight[count:], multiplier[outputs:], bias[outputs:]
    model.shape.load_state_dict(fitted_shape(arrays["frequencies"]).state_dict())
    return model.state_dict()


def fitted_shape(wanted: np.ndarray) -> Shape:
    """Returns the density whose tables are closest to uint16[49, 16, 42] by relative entropy."""
    shape, share = Shape().double(), torch.from_numpy(wanted.astype(np.float64)) / FREQUENCY_TOTAL
    optimiser = torch.optim.Adam(shape.parameters(), lr=0.02)
    for _ in range(400):
        loss = (share * (share / density(shape).clamp(min=2.0**-20)).log2()).sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    difference = np.abs(frequencies(shape).astype(np.int64) - wanted).sum(-1).mean() / 2 / FREQUENCY_TOTAL
    print(f"density fitted: {difference:.4%} of the mean table's frequencies differ")
    return shape.float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="shipped")
    name = parser.parse_args().name
    folder, faces = RUNS / name, RUNS / f"{name}-faces"
    for run in (folder, faces):
        run.mkdir(parents=True, exist_ok=True)
    torch.save({"average": restored(WEIGHTS / "faces-240.onnx")}, faces / "last.pt")
    average: dict[str, Tensor] = {}
    for part in ("encoder", "decoder"):
        state = restored(WEIGHTS / f"pocket-240-{part}.onnx")
        average |= {f"{part}.{name}": value for name, value in state.items()}
    context_model = restored_context_model(WEIGHTS / "context-242.npz")
    average |= {f"context_model.{name}": value for name, value in context_model.items()}
    torch.save({"average": average}, folder / "last.pt")


if __name__ == "__main__":
    main()
