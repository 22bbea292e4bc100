"""Stage 4: converts the trained context model to the integer file that is shipped.

``python training/export_entropy.py --run context --out src/calotype/models/weights/context-242.npz``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from context_model import BIAS_UNIT, HEAD, WIDTHS, ContextModel, IntConv, Shape
from loop import weights_of
from torch import Tensor

from calotype.entropy.tables import FREQUENCY_TOTAL, MAX_RESIDUAL, PHASES, SIGMAS, SYMBOLS


def density(shape: Shape) -> Tensor:
    """Returns float64[49, 16, 42]: the density integrated over each residual, and the escape's as the
    last.
    """
    log_sigma = torch.arange(SIGMAS, dtype=torch.float64) / 8 - 4 + 1 / 32  # the middle of the two scales
    phase = (torch.arange(PHASES, dtype=torch.float64) - 8) / 16
    edges = torch.arange(-MAX_RESIDUAL, MAX_RESIDUAL + 2, dtype=torch.float64) - 0.5
    x = (edges - phase[None, :, None]) * torch.exp2(-log_sigma)[:, None, None]
    inside = shape.double().cdf(x, log_sigma[:, None, None].expand_as(x)).diff(dim=-1)
    escape = (1 - inside.sum(-1, keepdim=True)).clamp(min=2.0**-15)
    probabilities = torch.cat([inside, escape], -1)
    return probabilities / probabilities.sum(-1, keepdim=True)


def frequencies(shape: Shape) -> np.ndarray:
    """Returns uint16[49, 16, 42]: :func:`density` as integer frequencies, each at least 1."""
    with torch.no_grad():
        share = density(shape).numpy()
    out = 1 + np.floor(share * (FREQUENCY_TOTAL - SYMBOLS)).astype(np.int64)
    peak = out.argmax(-1)
    rest = FREQUENCY_TOTAL - out.sum(-1)
    np.put_along_axis(
        out, peak[..., None], np.take_along_axis(out, peak[..., None], -1) + rest[..., None], -1
    )
    return out.astype(np.uint16)


def export(model: ContextModel, out: Path) -> None:
    """Writes the file that ``calotype.entropy.load_model`` reads."""
    weight, multiplier, bias = [], [], []
    for layer in model.modules():
        if isinstance(layer, IntConv):
            integer, scale = layer.quantised()
            weight.append(integer.numpy().astype(np.int8).ravel())
            multiplier.append((scale.ravel() * 65536).round().numpy().astype(np.int32))
            real = layer.bias.detach().double().numpy() * BIAS_UNIT
            bias.append(np.round(real * 65536).astype(np.int64) + 32768)
    np.savez_compressed(
        out,
        widths=np.array([*(WIDTHS[spacing] for spacing in (8, 4, 2, 1)), HEAD]),
        weight=np.concatenate(weight),
        multiplier=np.concatenate(multiplier),
        bias=np.concatenate(bias),
        frequencies=frequencies(model.shape),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="context")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = ContextModel()
    model.load_state_dict(weights_of(args.run, "context_model"))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export(model, args.out)
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
