"""Stage 1: the context model, on quantised latents at every level.

``python training/train_entropy.py --minutes 40``. The loss is the ideal code length in bits.
"""

from __future__ import annotations

import argparse

import torch
from data import Crops
from lattice import Lattice
from loop import Stage, autocast, weights_of
from nets import Encoder
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
    parser.add_argument("--warm-start", help="a run whose averaged weights to start from")
    parser.add_argument(
        "--encoder", help="a run whose encoder makes half of the latents, which get rate-distortion decisions"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Lattice()
    stage = Stage(args.name, model, minutes=args.minutes, lr=args.lr, start=args.warm_start)
    crops = Crops(args.seed + stage.step)
    encoder: Encoder | None = None
    if args.encoder:
        encoder = Encoder().to(memory_format=torch.channels_last).requires_grad_(False)
        encoder.load_state_dict(weights_of(args.encoder, "encoder"))

    def loss() -> Tensor:
        pixels, latents = crops.batch(args.batch, args.crop)
        levels = random_levels(len(latents))
        strength: Tensor | None = None
        if encoder is not None:
            half = len(pixels) // 2
            with torch.no_grad(), autocast():
                own = encoder(pixels[:half].contiguous(memory_format=torch.channels_last)).float()
            latents = torch.cat([own, latents[half:]])
            strength = random_strengths(levels)
            strength[half:] = 0
        with autocast():
            bits = model.walk(latents, levels, strength)[1]
        # Code lengths at coarse levels are short: weigh them so that all levels matter alike.
        weight = (steps_of(levels) / 0.5) ** 0.5
        return (bits.mean((1, 2, 3)) * weight).mean()

    held_out = crops.validation(512)
    pictures = torch.stack([z for _, z in held_out])
    made: Tensor | None = None
    if encoder is not None:
        with torch.inference_mode(), autocast():
            made = torch.cat([encoder(pixels[None]).float() for pixels, _ in held_out])

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
            if made is not None:
                bits = float(net.walk(made, levels, torch.full((len(made),), 0.06))[1].sum())  # type: ignore[operator]
                row[f"own@{step:.2f}"] = round(bits / 8 / len(made))
        return row

    stage.run(loss, validate)


if __name__ == "__main__":
    main()
