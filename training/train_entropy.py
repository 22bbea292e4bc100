"""Stage 1: the context model, on quantised latents at every level.

``python training/train_entropy.py --minutes 40``. The loss is the ideal code length in bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from data import Crops
from lattice import Lattice
from loop import Stage
from quantise import CHANNEL_WEIGHTS, random_levels, random_strengths, steps_of
from torch import Tensor, nn


def order0(values: Tensor) -> float:
    """Bits of the static order-0 entropy, per picture and channel, of integers int64[4, h, w]."""
    bits = 0.0
    for channel in values:
        count = torch.unique(channel, return_counts=True)[1].float()
        bits += float(-(count * (count / count.sum()).log2()).sum())
    return bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="entropy")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--start", type=Path, help="a checkpoint to start from")
    parser.add_argument("--rdo", action="store_true", help="quantise with rate-distortion decisions")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Lattice()
    stage = Stage(args.name, model, minutes=args.minutes, lr=args.lr, start=args.start)
    crops = Crops(args.seed + stage.step)

    def loss() -> Tensor:
        latents = crops.latents(args.batch, args.crop)
        levels = random_levels(len(latents))
        strength = random_strengths(levels) if args.rdo else None
        with torch.autocast("cpu", torch.bfloat16):
            bits = model.walk(latents, levels, strength)[1]
        # Code lengths at coarse levels are short: weigh them so that all levels matter alike.
        weight = (steps_of(levels) / 0.5) ** 0.5
        return (bits.mean((1, 2, 3)) * weight).mean()

    pictures = torch.stack([z for _, z in crops.validation(512)])

    def validate(net: nn.Module) -> dict[str, float]:
        row: dict[str, float] = {}
        for level in (56, 64, 72, 80, 88):
            levels = torch.full((len(pictures),), level)
            bits = float(net.walk(pictures, levels)[1].sum())  # type: ignore[operator]
            step = float(steps_of(levels[:1])[0])
            integers = torch.round(pictures / (step * CHANNEL_WEIGHTS)).long()
            plain = sum(order0(picture) for picture in integers)
            row[f"bytes@{step:.2f}"] = round(bits / 8 / len(pictures))
            row[f"saved@{step:.2f}"] = round(100 * (1 - bits / plain), 2)
        return row

    stage.run(loss, validate)


if __name__ == "__main__":
    main()
