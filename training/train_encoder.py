"""Stage 3: the pocket encoder, distilled from the teacher's latents.

``python training/train_encoder.py --minutes 30``: squared error, and each channel's mean and deviation.
"""

from __future__ import annotations

import argparse

import torch
from data import Crops
from loop import Stage, autocast
from nets import Encoder
from torch import Tensor, nn


def distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Of latents float32[N, 4, h, w] from the teacher's: at each place, and in mean and deviation."""
    rim = (..., slice(1, -1), slice(1, -1))  # the teacher's were made with what lies beyond the crop
    made, wanted = made[rim], wanted[rim]
    drift = ((made - wanted).mean((0, 2, 3)) ** 2).sum()
    spread = (made.std((0, 2, 3)) / wanted.std((0, 2, 3)) - 1).pow(2).sum()
    return ((made - wanted) ** 2).mean() + 4 * (drift + spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="encoder")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--warm-start", help="a run whose averaged weights to start from")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Encoder().to(memory_format=torch.channels_last)
    stage = Stage(args.name, model, minutes=args.minutes, lr=args.lr, start=args.warm_start)
    crops = Crops(args.seed + stage.step)

    def loss() -> Tensor:
        pixels, latents = crops.batch(args.batch, args.crop, detailed=True)
        with autocast():
            out = model(pixels.contiguous(memory_format=torch.channels_last)).float()
        return distance(out, latents)

    pictures = crops.validation(512)

    def validate(net: nn.Module) -> dict[str, float]:
        pixels = torch.stack([p for p, _ in pictures])
        wanted = torch.stack([z for _, z in pictures])
        with autocast():
            found = torch.cat([net(p[None]).float() for p in pixels])
        row = {"rmse": round(float(((found - wanted) ** 2).mean().sqrt()), 4)}
        sigma = wanted.std((0, 2, 3))
        for channel in range(4):
            shift = (found - wanted)[:, channel].mean() / sigma[channel]
            row[f"mean{channel}"] = round(float(shift), 4)
            row[f"spread{channel}"] = round(float(found[:, channel].std() / sigma[channel]), 4)
        return row

    stage.run(loss, validate)


if __name__ == "__main__":
    main()
