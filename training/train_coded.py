"""Stage 7: the decoder alone, on what the codec itself makes of the photographs.

``python training/train_coded.py --minutes 45 --warm-start joint-b``. The tiles of ``code_tiles.py`` bring
what earlier stages did not have: error that neighbours make up for, and with every integer what its latent
probably was by the context model. To L1 and LPIPS come errors that are wide (tints and blotches) or in flat
places (mottling), which both of them hardly see.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
import torch.nn.functional as F
from assets import Lpips
from code_tiles import SIZE, TILES, VALIDATION_LEVELS, open_tiles
from loop import Stage, autocast, weights_of
from nets import Decoder
from quantise import CHANNEL_WEIGHTS, log_step_map, steps_of
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""pixels float32[N, 3, s, s] in [0, 1], then what decoders get: latents, log2 of the step, expected."""

UNEXPLAINED = 0.12  # share of crops without expectations, as files of the palette coding are


class Tiles:
    """Random crops of the tiles, each in one of its codings."""

    def __init__(self, seed: int) -> None:
        index = json.loads((TILES / "index.json").read_text())
        self._held, self._count = index["held_out"], index["tiles"]
        self._maps = open_tiles(self._count, "r")
        self._rng = np.random.default_rng(seed)

    def batch(self, count: int, size: int) -> Batch:
        numbers = self._rng.integers(self._held, self._count, size=count)
        return _stacked([self._crop(number, size) for number in numbers])

    def validation(self, coding: int) -> Batch:
        """The middles, 256x256, of the held-out tiles."""
        return _stacked([self._crop(number, 256, coding) for number in range(self._held)])

    def _crop(self, number: int, size: int, coding: int | None = None) -> Batch:
        """Random, but the middle if ``coding`` is given."""
        maps, rng, most = self._maps, self._rng, (SIZE - size) // 8
        y, x = rng.integers(most + 1, size=2) if coding is None else (most // 2, most // 2)
        which = rng.integers(2) if coding is None else coding
        pixels = maps["pixels"][number, 8 * y :, 8 * x :][:size, :size]
        window = (number, which, slice(None), slice(y, y + size // 8), slice(x, x + size // 8))
        integers, offsets = (_floats(maps[name][window]) for name in ("integers", "offsets"))
        if coding is None and rng.random() < UNEXPLAINED:
            offsets.zero_()
        level = torch.tensor([int(maps["levels"][number, which])])
        step = steps_of(level).view(1, 1, 1) * CHANNEL_WEIGHTS[0]
        latents, expected = integers * step, (integers + offsets / 256) * step
        return (
            _floats(pixels).permute(2, 0, 1) / 255,
            latents,
            log_step_map(level, latents[None])[0],
            expected,
        )


def _floats(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _stacked(some: list[Batch]) -> Batch:
    pixels, latents, log_step, expected = (torch.stack(list(parts)) for parts in zip(*some, strict=True))
    return pixels.contiguous(memory_format=torch.channels_last), latents, log_step, expected


def flatness(pixels: Tensor) -> Tensor:
    """1 where float32[N, 3, H, W] has no detail within 8 pixels, less where it has: float32[N, 1, H, W]."""
    activity = F.pad(pixels.diff(dim=2).abs(), (0, 0, 0, 1)) + F.pad(pixels.diff(dim=3).abs(), (0, 1))
    return 0.015 / (0.015 + F.avg_pool2d(activity.mean(1, keepdim=True), 17, 1, 8, count_include_pad=False))


class Coded:
    """The loss of a batch."""

    def __init__(self, args: argparse.Namespace, decoder: Decoder, stage: Stage) -> None:
        self.args, self.decoder = args, decoder
        self.tiles, self.lpips = Tiles(args.seed + 1000 * stage.rank + stage.step), Lpips()

    def __call__(self) -> Tensor:
        pixels, *given = self.tiles.batch(self.args.batch, self.args.crop)
        with autocast():
            shown = self.decoder(*given).float()
        # LPIPS samples every second pixel and fewer later: always in phase with the latents, it would not see
        # some of the patterns that repeat with them.
        y, x = torch.randint(8, (2,)).tolist()
        with autocast():
            perceptual = self.lpips(pixels[:, :, y:, x:], shown[:, :, y:, x:]).mean()
        return self.args.lpips * perceptual + self._distortion(pixels, shown)

    def _distortion(self, pixels: Tensor, shown: Tensor) -> Tensor:
        error = shown - pixels
        count, channels, height, width = error.shape
        cells = error.reshape(count, channels, height // 8, 8, width // 8, 8)
        # What repeats in every 8x8 cell is a grid, what does not vary a tint: each small, both seen at once.
        grid, tint = cells.mean((0, 2, 4)).square().mean(), cells.mean((2, 3, 4, 5)).square().mean()
        wide = sum(F.avg_pool2d(error, side).abs().mean() for side in (8, 32))
        flat = (flatness(pixels) * error.abs()).mean()
        return error.abs().mean() + 100 * grid + 150 * tint + self.args.wide * wide + self.args.flat * flat

    def validate(self, average: nn.Module) -> dict[str, float]:
        """On held-out tiles at two levels: PSNR, LPIPS, and the mean error of flat 4x4 cells, in 1/255."""
        row: dict[str, float] = {}
        for coding, level in enumerate(VALIDATION_LEVELS):
            sums: list[tuple[float, float, float]] = []
            pixels, *given = self.tiles.validation(coding)
            for at in range(0, len(pixels), 8):
                want, *some = (part[at : at + 8] for part in (pixels, *given))
                with autocast():
                    shown = average(*some).float().clamp(0, 1)
                psnr = -10 * (shown - want).square().mean((1, 2, 3)).log10()
                flat = F.avg_pool2d(flatness(want), 4) > 0.6
                blotches = (F.avg_pool2d(shown - want, 4).abs() * flat).sum() / flat.sum().clamp(min=1) / 3
                perceptual = self.lpips(want, shown).mean()
                sums.append((float(psnr.mean()), float(perceptual), 255 * float(blotches)))
            for name, value in zip(("psnr", "lpips", "flat"), np.mean(sums, 0), strict=True):
                row[f"{name}@{level}"] = round(float(value), 4)
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="coded")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--lpips", type=float, default=1.5)
    parser.add_argument("--wide", type=float, default=1.0, help="weight of errors over 8 and 32 pixels")
    parser.add_argument("--flat", type=float, default=1.0, help="weight of errors in flat places")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--warm-start", required=True, help="the run whose decoder to start from")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    decoder = Decoder().to(memory_format=torch.channels_last)
    decoder.load_state_dict(weights_of(args.warm_start, "decoder"))
    stage = Stage(args.name, decoder, minutes=args.minutes, lr=args.lr)
    coded = Coded(args, decoder, stage)
    stage.run(coded, coded.validate)


if __name__ == "__main__":
    main()
