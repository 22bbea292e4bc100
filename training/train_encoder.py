"""Stage 3: the pocket encoder, distilled from the teacher's latents.

``python training/train_encoder.py --minutes 30``: squared error against the teacher's latents, and once
``--decoder`` names a trained decoder run, the pixels that come out of it as well (L1 + LPIPS), so that
the encoder keeps what the decoder can show while it stays in the space.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from assets import Lpips
from data import Crops
from loop import RUNS, Stage
from nets import Decoder, Encoder
from quantise import random_levels, round_trip
from torch import Tensor, nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="encoder")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--start", type=Path, help="a checkpoint to start from")
    parser.add_argument("--decoder", help="a decoder run to train through")
    parser.add_argument("--pixels", type=float, default=1.0, help="weight of the pixel terms")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Encoder().to(memory_format=torch.channels_last)
    stage = Stage(args.name, model, minutes=args.minutes, lr=args.lr, start=args.start)
    crops, lpips = Crops(args.seed + stage.step), Lpips()
    decoder: Decoder | None = None
    if args.decoder:
        decoder = Decoder().to(memory_format=torch.channels_last).requires_grad_(False)
        decoder.load_state_dict(torch.load(RUNS / args.decoder / "last.pt", weights_only=True)["average"])

    def loss() -> Tensor:
        pixels, latents = crops.batch(args.batch, args.crop)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(pixels.contiguous(memory_format=torch.channels_last)).float()
        # The latents of a crop's rim were made with what lies beyond it.
        rim = (..., slice(1, -1), slice(1, -1))
        match = ((out - latents)[rim] ** 2).mean()
        drift = ((out - latents)[rim].mean((0, 2, 3)) ** 2).sum()
        spread = (out[rim].std((0, 2, 3)) / latents[rim].std((0, 2, 3)) - 1).pow(2).sum()
        total = match + drift + spread
        if decoder is not None:
            rounded, log_step = round_trip(out.detach(), random_levels(len(out)))
            noisy = out + (rounded - out).detach()
            with torch.autocast("cpu", torch.bfloat16):
                shown = decoder(noisy, log_step).float()
                perceptual = lpips(pixels, shown).mean()
            total = total + args.pixels * ((shown - pixels).abs().mean() + 0.6 * perceptual)
        return total

    pictures = crops.validation(512)

    def validate(net: nn.Module) -> dict[str, float]:
        pixels = torch.stack([p for p, _ in pictures])
        wanted = torch.stack([z for _, z in pictures])
        with torch.autocast("cpu", torch.bfloat16):
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
