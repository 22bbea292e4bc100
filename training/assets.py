"""The photographs and the teachers that training reads.

The environment variable ``CALOTYPE_ASSETS`` names their folder; by default it is ``../shared`` beside the
checkout. The installed package imports nothing of this.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
ASSETS = Path(os.environ.get("CALOTYPE_ASSETS", HERE.parents[1] / "shared"))

SOURCE_WEIGHT = {"clothing": 0.3, "grocery": 0.3, "gcompris": 0.7, "wall": 1.0, "wallcrop": 1.0}
"""How often a photograph is drawn, relative to its area, by its source: the beginning of the file's name.

The photographs of clothing and grocery are many and much alike, so that they are drawn less often. Other
sources have the weight 1.
"""

TRAINING_SETS = ("train", "train2")
"""The folders of ``data`` with training photographs, each with its ``SOURCES.tsv``."""


def held_out() -> frozenset[str]:
    """Returns the names of the photographs that are kept for validation (``training/held_out.txt``)."""
    return frozenset((HERE / "held_out.txt").read_text().split())


def photos() -> list[Path]:
    """Returns the photographs that ``SOURCES.tsv`` of the first training set lists, sorted by name."""
    with (ASSETS / "data" / "train" / "SOURCES.tsv").open(newline="") as table:
        names = sorted(row["file"] for row in csv.DictReader(table, delimiter="\t"))
    return [ASSETS / "data" / "train" / name for name in names]


class _Block(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def _conv(cin: int, cout: int, **kw: bool | int) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 3, padding=1, **kw)  # type: ignore[arg-type]


def taesd_encoder() -> nn.Module:
    """Returns the teacher's encoder: pixels float32[N, 3, H, W] in [0, 1] to latents
    float32[N, 4, H/8, W/8].
    """
    layers: list[nn.Module] = [_conv(3, 64), _Block()]
    for _ in range(3):
        layers += [_conv(64, 64, stride=2, bias=False), _Block(), _Block(), _Block()]
    return _load(nn.Sequential(*layers, _conv(64, 4)), "encoder")


def taesd_decoder() -> nn.Module:
    """Returns the teacher's decoder: latents float32[N, 4, h, w] to pixels float32[N, 3, 8h, 8w], nominally
    in [0, 1].
    """
    layers: list[nn.Module] = [_Clamp(), _conv(4, 64), nn.ReLU()]
    for _ in range(3):
        layers += [_Block(), _Block(), _Block(), nn.Upsample(scale_factor=2), _conv(64, 64, bias=False)]
    return _load(nn.Sequential(*layers, _Block(), _conv(64, 3)), "decoder")


def _load(model: nn.Module, part: str) -> nn.Module:
    weights = load_file(ASSETS / "models" / "taesd" / f"taesd_{part}.safetensors")
    model.load_state_dict({k: v.float() for k, v in weights.items()})
    return model.eval().requires_grad_(False)


def lpips_squeeze_weights() -> dict[str, Tensor]:
    """Returns the initialisers of the ONNX graph, which ``pack.py`` may have copied to a file of their
    own.
    """
    folder = ASSETS / "models" / "lpips-squeeze"
    if (folder / "lpips_sq.safetensors").exists():
        return load_file(folder / "lpips_sq.safetensors")
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(str(folder / "lpips_sq.onnx")).graph
    return {
        tensor.name.removeprefix("core.").replace(".", "_"): torch.from_numpy(np.array(to_array(tensor)))
        for tensor in graph.initializer
    }


class Lpips(nn.Module):
    """LPIPS v0.1 (SqueezeNet), differentiable, rebuilt from the initialisers of the ONNX graph.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
    2018. It maps two batches of pixels float32[N, 3, H, W] in [0, 1] to distances float32[N].
    """

    _FIRE = ((2, 3, 4), (3, 6, 7), (4, 9), (5, 10), (6, 11), (7, 12))
    _POOLED = (2, 3, 4)

    def __init__(self) -> None:
        super().__init__()
        for name, tensor in lpips_squeeze_weights().items():
            self.register_buffer(name, tensor)

    def _conv(self, name: str, x: Tensor, **kw: int) -> Tensor:
        weight, bias = getattr(self, f"net_{name}_weight"), getattr(self, f"net_{name}_bias")
        return torch.relu(F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), **kw))

    def features(self, x: Tensor) -> list[Tensor]:
        """Returns seven feature maps of pixels float32[N, 3, H, W] in [0, 1], at 1/2 to 1/16 of the size."""
        x = ((x * 2 - 1) - self.scaling_layer_shift) / self.scaling_layer_scale  # type: ignore[operator]
        x = self._conv("slice1_0", x, stride=2)
        out = [x]
        for number, *fires in self._FIRE:
            if number in self._POOLED:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            for fire in fires:
                prefix = f"slice{number}_{fire}"
                x = self._conv(f"{prefix}_squeeze", x)
                wide = self._conv(f"{prefix}_expand3x3", x, padding=1)
                x = torch.cat([self._conv(f"{prefix}_expand1x1", x), wide], 1)
            out.append(x)
        return out

    def forward(self, ref: Tensor, dist: Tensor) -> Tensor:
        return self.distance(self.features(ref), self.features(dist))

    def distance(self, ref: list[Tensor], dist: list[Tensor]) -> Tensor:
        """Returns LPIPS float32[N] from the :meth:`features` of two batches."""
        total = torch.zeros(len(ref[0]), device=ref[0].device)
        for index, (a, b) in enumerate(zip(ref, dist, strict=True)):
            a, b = a.float(), b.float()
            a = a / (a.pow(2).sum(1, keepdim=True).add(1e-10).sqrt())
            b = b / (b.pow(2).sum(1, keepdim=True).add(1e-10).sqrt())
            head = getattr(self, f"lins_{index}_model_1_weight")
            total = total + F.conv2d((a - b) ** 2, head).mean((1, 2, 3))
        return total
