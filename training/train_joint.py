"""Stage 4: encoder and decoder together, for rate and distortion, through the codec's own quantiser.

``torchrun --nproc-per-node 2 training/train_joint.py --minutes 120``.
Distortion is L1 + LPIPS of what pocket's decoder shows; rate is the frozen context model's code length.
Two terms keep the latents in the space: distance to the teacher's latents, and, every few steps, what
the teacher's decoder shows of pocket's latents.
"""

from __future__ import annotations

import argparse

import torch
from assets import Lpips, taesd_decoder
from correct import CORRECTED
from data import Crops
from lattice import Lattice
from loop import Stage, autocast, weights_of
from nets import Decoder, Encoder
from quantise import log_step_map, random_levels, random_strengths, round_trip
from scenes import SmallFaces
from torch import Tensor, nn
from train_encoder import distance
from weave import ALIKE, repeating, weave

EVEN = 2  # crops of a batch of whose mean colours even pictures are made
FOREIGN = 2  # crops of a batch that the teacher's decoder, which is slow, is asked for


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()


def rate_weight(levels: Tensor) -> Tensor:
    """What a bit per pixel may cost in distortion, float32[N]: the slope that the levels have themselves."""
    return (0.25 * 2 ** ((levels - 64) / 8)).clamp(max=2)


def enlarged(crop: Tensor) -> Tensor:
    """A part of float32[3, s, s] at 1.1 to 1.4 times its size, as the codec enlarges for many bytes."""
    size = crop.shape[-1]
    part = torch.randint(round(size / 1.4), round(size / 1.1) + 1, ()).item()
    y, x = torch.randint(size - part + 1, (2,)).tolist()
    window = crop[None, :, y : y + part, x : x + part]
    return nn.functional.interpolate(window, (size, size), mode="bicubic")[0].clamp(0, 1)


class Joint:
    """The loss of a batch; the teacher's latents, a quarter of it, keep the decoder good at those too."""

    def __init__(self, args: argparse.Namespace, model: Pair, stage: Stage) -> None:
        self.args, self.model, self.stage = args, model, stage
        files = ("latents.f16", CORRECTED) if args.fixed_encoder else ("latents.f16",)
        self.crops = Crops(args.seed + 1000 * stage.rank + stage.step, latents=files)
        self.faces = SmallFaces(args.seed + stage.rank + stage.step) if args.faces else None
        self.lpips = Lpips()
        self.teacher = taesd_decoder().to(memory_format=torch.channels_last)
        self.lattice = Lattice().requires_grad_(False)
        self.lattice.load_state_dict(weights_of(args.entropy, "lattice"))

    def __call__(self) -> Tensor:
        return self._of_decoder() if self.args.fixed_encoder else self._of_both()

    def _of_decoder(self) -> Tensor:
        """Of the encoder's own latents (a quarter), those corrected, and the teacher's (a quarter; or half).

        What the teacher shows of its own latents follows from them alone: it is learned faster than the
        pictures, of which the latents do not say everything.
        """
        pixels, cached = self.crops.batch(self.args.batch, self.args.crop, detailed=True)
        own = max(len(pixels) // 4, 1)
        taught = len(pixels) // 2 if self.args.distil else own
        if self.stage.step % 2:
            pixels[0] = enlarged(pixels[0])
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast(), torch.no_grad():
            made = self.model.encoder(pixels[:own]).float()
            latents = torch.cat([made, cached[own:-taught, 4:], cached[-taught:, :4]])
            if self.args.distil:
                pixels[-taught:] = self.teacher(latents[-taught:]).float().clamp(0, 1)
            levels = random_levels(len(latents))
            if self.stage.step // 2 % 2:
                coded, _ = round_trip(latents, levels)
            else:
                coded, _ = self.lattice.walk(latents, levels, random_strengths(levels))
        with autocast():
            shown = self.model.decoder(coded, log_step_map(levels, latents)).float()
        total = self._distortion(pixels, shown)
        if self.args.weave:
            repeats = weave(shown, pixels) + self._even(latents[:EVEN], levels[:EVEN])
            total = total + self.args.weave * repeats
        return total

    def _of_both(self) -> Tensor:
        pixels, wanted = self.crops.batch(self.args.batch, self.args.crop, detailed=True)
        if self.faces is not None:
            some = self.args.faces
            pixels[:some], wanted[:some] = self.faces.batch(some, self.args.crop)
        own = matched = len(pixels) * 3 // 4
        if self.stage.step % 4 < 2:  # one of them enlarged, for which there are no latents to match
            matched = own - 1
            pixels[matched] = enlarged(pixels[matched])
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast():
            made = self.model.encoder(pixels[:own]).float()
        latents = torch.cat([made, wanted[own:]])
        levels = random_levels(len(latents))
        total = self.args.match * distance(made[:matched], wanted[:matched])
        with autocast():
            if self.stage.step % self.args.rate_every:
                coded, _ = round_trip(latents, levels)
            else:
                coded, bits = self.lattice.walk(latents, levels, random_strengths(levels))
                per_pixel = bits.sum((1, 2, 3)) / (pixels.shape[2] * pixels.shape[3])
                total = total + (rate_weight(levels) * per_pixel)[:own].mean()
            noisy = latents + (coded - latents).detach()
            shown = self.model.decoder(noisy, log_step_map(levels, latents)).float()
        total = total + self._distortion(pixels, shown)
        if self.stage.step % self.args.teacher_every == 0:
            with autocast():
                foreign = self.teacher(made[:FOREIGN]).float()
            total = total + self._distortion(pixels[:FOREIGN], foreign)
        if self.args.weave:
            even = self._even(latents[:EVEN].detach(), levels[:EVEN])
            total = total + self.args.weave * (weave(shown, pixels) + even)
        return total

    def _distortion(self, pixels: Tensor, shown: Tensor) -> Tensor:
        # LPIPS samples every second pixel and fewer later: always in phase with the latents, it would not see
        # some of the patterns that repeat with them.
        y, x = torch.randint(8, (2,)).tolist()
        with autocast():
            perceptual = self.lpips(pixels[:, :, y:, x:], shown[:, :, y:, x:]).mean()
        error = shown - pixels
        count, channels, height, width = error.shape
        cells = error.reshape(count, channels, height // 8, 8, width // 8, 8)
        # What repeats in every 8x8 cell is a grid, what does not vary a tint: each small, both seen at once.
        grid, tint = cells.mean((0, 2, 4)).square().mean(), cells.mean((2, 3, 4, 5)).square().mean()
        # What neighbouring cells share is a blotch.
        blotch = nn.functional.avg_pool2d(cells.mean((3, 5)), 2).abs().mean()
        return error.abs().mean() + self.args.lpips * perceptual + 100 * grid + 150 * tint + blotch

    def _even(self, latents: Tensor, levels: Tensor) -> Tensor:
        """What repeats where all latents are the same, the mean of a part of each crop's."""
        y, x = torch.randint(latents.shape[-1] - 6, (2,)).tolist()
        even = latents[:, :, y : y + 6, x : x + 6].mean((2, 3), keepdim=True).expand(-1, -1, 14, 14)
        coded, _ = round_trip(even, levels)
        with autocast():
            shown = self.model.decoder(coded, log_step_map(levels, even)).float()
        inner = shown[:, :, 24:-24, 24:-24]  # 64x64 pixels, where borders do not show
        return repeating(inner, ALIKE).mean()

    def validate(self, average: nn.Module) -> dict[str, float]:
        """PSNR and LPIPS on held-out photos at three levels, own latents and (``t``) the teacher's."""
        row: dict[str, float] = {}
        pairs = [(p, z[:4]) for p, z in self.crops.validation(256, 24)]
        pixels = torch.stack([p for p, _ in pairs]).contiguous(memory_format=torch.channels_last)
        teacher = torch.stack([z for _, z in pairs])
        with autocast():
            made = average.encoder(pixels).float()  # type: ignore[operator, union-attr]
            row["lpips-by-teacher"] = self._figures(pixels, self.teacher(made).float())[1]
        row["rmse"] = round(float(((made - teacher) ** 2).mean().sqrt()), 4)
        for level in (8, 60, 80):
            for name, latents in (("", made), ("t", teacher)):
                levels = torch.full((len(latents),), level)
                with autocast():
                    if name:
                        noisy, _ = round_trip(latents, levels)
                    else:
                        noisy, bits = self.lattice.walk(latents, levels, torch.full((len(latents),), 0.06))
                        row[f"bytes@{level}"] = round(float(bits.sum()) / 2 / len(latents))
                    shown = average.decoder(noisy, log_step_map(levels, latents)).float()  # type: ignore[operator, union-attr]
                row[f"psnr{name}@{level}"], row[f"lpips{name}@{level}"] = self._figures(pixels, shown)
        return row

    def _figures(self, pixels: Tensor, shown: Tensor) -> tuple[float, float]:
        shown = shown.clamp(0, 1)
        mse = ((shown - pixels) ** 2).mean((1, 2, 3))
        return round(float(-10 * mse.log10().mean()), 3), round(float(self.lpips(pixels, shown).mean()), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="joint")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--lpips", type=float, default=1.0)
    parser.add_argument("--match", type=float, default=0.3, help="weight of the distance to the teacher")
    parser.add_argument("--rate-every", type=int, default=2, help="steps between those that count bits")
    parser.add_argument("--teacher-every", type=int, default=4, help="steps between the teacher's decoder")
    parser.add_argument(
        "--fixed-encoder", action="store_true", help="train the decoder alone, also on corrected latents"
    )
    parser.add_argument(
        "--distil",
        action="store_true",
        help="with it: what the teacher's decoder shows of its latents is to be shown",
    )
    parser.add_argument("--weave", type=float, default=0.0, help="weight of what repeats in every cell")
    parser.add_argument(
        "--faces", type=int, default=0, help="crops of a batch that are of small faces, if both are trained"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--entropy", default="entropy", help="the context model's run")
    parser.add_argument("--encoder", default="encoder", help="the encoder's run to start from")
    parser.add_argument("--decoder", default="decoder", help="the decoder's run to start from")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Pair().to(memory_format=torch.channels_last)
    for part, run in (("encoder", args.encoder), ("decoder", args.decoder)):
        # Layers that the run lacks start afresh.
        getattr(model, part).load_state_dict(weights_of(run, part), strict=False)
    model.encoder.requires_grad_(not args.fixed_encoder)
    stage = Stage(args.name, model, minutes=args.minutes, lr=args.lr)
    joint = Joint(args, model, stage)
    stage.run(joint, joint.validate)


if __name__ == "__main__":
    main()
