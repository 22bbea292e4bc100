"""Stage 2: the pocket decoder, on the teacher's latents with the quantiser's noise.

``python training/train_decoder.py --minutes 90``. L1 + LPIPS on crops; every crop has its own step.
"""

from __future__ import annotations

import argparse

import torch
from assets import Lpips
from data import Crops
from lattice import Lattice
from loop import Stage, autocast, weights_of
from nets import Decoder
from quantise import log_step_map, random_levels, random_strengths, round_trip, steps_of
from torch import Tensor, nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="decoder")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--lr", type=float, default=7e-4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--lpips", type=float, default=0.6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm-start", help="a run whose averaged weights to start from")
    parser.add_argument("--entropy", help="a context model run, for rate-distortion decisions")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Decoder().to(memory_format=torch.channels_last)
    lattice: Lattice | None = None
    if args.entropy:
        lattice = Lattice().requires_grad_(False)
        lattice.load_state_dict(weights_of(args.entropy, "lattice"))
    stage = Stage(args.name, model, minutes=args.minutes, lr=args.lr, start=args.warm_start)
    crops, lpips = Crops(args.seed + stage.step), Lpips()

    def loss() -> Tensor:
        pixels, latents = crops.batch(args.batch, args.crop)
        levels = random_levels(len(latents))
        if lattice is None:
            noisy, log_step = round_trip(latents, levels)
        else:
            log_step = log_step_map(levels, latents)
            with torch.no_grad(), autocast():
                noisy, _ = lattice.walk(latents, levels, random_strengths(levels))
        with autocast():
            out = model(noisy.contiguous(memory_format=torch.channels_last), log_step)
            perceptual = lpips(pixels, out.float()).mean()
        return (out.float() - pixels).abs().mean() + args.lpips * perceptual

    crops_256 = crops.validation(256, 24)

    def validate(net: nn.Module) -> dict[str, float]:
        row: dict[str, float] = {}
        for level in (48, 64, 72, 88):
            pixels = torch.stack([p for p, _ in crops_256])
            latents = torch.stack([z for _, z in crops_256])
            noisy, log_step = round_trip(latents, torch.full((len(latents),), level))
            with autocast():
                out = net(noisy, log_step).float().clamp(0, 1)
            mse = ((out - pixels) ** 2).mean((1, 2, 3))
            step = float(steps_of(torch.tensor([level]))[0])
            row[f"psnr@{step:.2f}"] = round(float(-10 * mse.log10().mean()), 3)
            row[f"lpips@{step:.2f}"] = round(float(lpips(pixels, out).mean()), 4)
        return row

    stage.run(loss, validate)


if __name__ == "__main__":
    main()
