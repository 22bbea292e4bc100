"""Stage 2c: a narrower decoder for the latents that the encoder of stage 2 makes, taught by the wide one.

``python training/train_decoder.py --name decoder --start pictures --minutes 90``. Files stay as they are.
Of a batch of eight five are crops, one of them coded from TAESD's latents; one has only begun to arrive; two
are even: a colour, a gradient, or latents that are the same everywhere.
"""

from __future__ import annotations

import argparse
import json

import torch
from assets import Lpips, taesd_encoder
from judges import Judges
from lattice import Lattice, Pass
from loop import Stage, autocast, weights_of
from losses import wasserstein
from narrow import narrowed
from nets import Decoder, Encoder, decoder_of
from objective import STEPS_OF_A_PASS
from photographs import Photographs
from quantise import random_lambdas, random_levels
from torch import Tensor, nn
from weave import ALIKE, repeating, weave

FOREIGN, PARTIAL, EVEN = 1, 1, 2
"""How many of a batch are coded from TAESD's latents, have only begun to arrive, are even."""

STATISTICS = 0.8
"""Norm of the gradient of the local statistics in the pixels, relative to that of L1 and LPIPS."""

LEVELS = (56, 76)
FEW_STEPS = 8
"""Coding steps known of the held-out crops that have only begun to arrive: two of ten sites."""


def even_pixels(count: int, size: int, rng: torch.Generator) -> Tensor:
    """float32[count, 3, size, size] in [0, 1]: colours and gradients, half of them saturated."""
    ends = torch.rand((count, 2, 3, 1, 1), generator=rng)
    saturated = torch.rand((count, 1, 1, 1, 1), generator=rng) < 0.5
    ends = torch.where(saturated, ends.round(), ends)
    varies = torch.rand((count, 1, 1, 1), generator=rng) < 0.5
    ramp = torch.linspace(0, 1, size)
    ramp = torch.stack([ramp.expand(size, size), ramp.view(-1, 1).expand(size, size)])
    share = ramp[torch.randint(2, (count,), generator=rng)].unsqueeze(1)
    share = share * torch.rand((count, 1, 1, 1), generator=rng) * varies
    return ends[:, 0] * (1 - share) + ends[:, 1] * share


class Lesson:
    """What the decoder is shown and what it should make of it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, torch.device(args.device)
        self.photographs = Photographs(args.seed, self.device, args.threads, limit=args.photographs)
        self.encoder = Encoder()
        self.encoder.load_state_dict(weights_of(args.start, "encoder"))
        self.wide = decoder_of(weights_of(args.teacher or args.start, "decoder"))
        self.foreign_encoder = taesd_encoder()
        for net in (self.encoder, self.wide, self.foreign_encoder):
            net.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        self.lattice = Lattice()
        self.lattice.load_state_dict(weights_of(args.entropy or args.start, "lattice"))
        self.lattice.freeze().to(self.device)
        self.lpips = Lpips().to(self.device)
        self.rng = torch.Generator().manual_seed(args.seed)
        self.autocast = lambda: autocast(self.device)
        self._weight = 0.0

    @torch.no_grad()
    def draw(self) -> tuple[Tensor, Pass]:
        """Pixels float32[N, 3, s, s], the even ones last, and what is coded of them."""
        args, count = self.args, self.args.batch
        pixels = self.photographs.batch(count - EVEN, args.crop)
        pixels = torch.cat([pixels, even_pixels(EVEN, args.crop, self.rng).to(self.device)])
        with self.autocast():
            latents = self.encoder(pixels).float()
            latents[:FOREIGN] = self.foreign_encoder(pixels[:FOREIGN]).float()
        if torch.rand((), generator=self.rng) < 0.5:  # latents that are the same everywhere
            y, x = torch.randint(latents.shape[2], (2,), generator=self.rng).tolist()
            latents[-1] = latents[FOREIGN, :, y : y + 1, x : x + 1]
            pixels[-1] = -1
        levels = random_levels(count, self.device)
        known = torch.full((count,), STEPS_OF_A_PASS, device=self.device)
        began = count - EVEN - PARTIAL
        known[began : began + PARTIAL] = torch.randint(1, 25, (PARTIAL,), generator=self.rng)
        return pixels, self.lattice.coding_pass(latents, levels, random_lambdas(levels), known)

    def loss(self, decoder: nn.Module, step: int) -> Tensor:
        pixels, coded = self.draw()
        began, even = self.args.batch - EVEN - PARTIAL, self.args.batch - EVEN
        inputs = (coded.coded, coded.log_step, coded.expected)
        with self.autocast():
            shown = decoder(*inputs).float()
            with torch.no_grad():
                taught = self.wide(*inputs).float()
        if float(pixels[-1].min()) < 0:  # nobody knows its colour but the teacher
            pixels[-1] = taught[-1].mean((1, 2), keepdim=True)
        y, x = torch.randint(8, (2,)).tolist()  # see Objective._distortion
        with self.autocast():
            features, original = self.lpips.features(shown[:even, :, y:, x:]), None
            with torch.no_grad():
                original = self.lpips.features(pixels[:even, :, y:, x:])
                lesson = self.lpips.features(taught[:began, :, y:, x:])
        mine = [f[:began] for f in features]
        like_teacher = (shown[:began] - taught[:began]).abs().mean() + self.lpips.distance(
            lesson, mine
        ).mean()
        like_picture = (shown[:even] - pixels[:even]).abs().mean() + self.lpips.distance(
            original, features
        ).mean()
        statistics = wasserstein([f[:began] for f in features[:4]], [f[:began] for f in original[:4]])
        if step % 25 == 0:
            self._balance(like_picture, statistics, shown)
        flat = (shown[even:] - pixels[even:]).abs().mean()
        repeats = weave(shown, pixels)
        return like_teacher + 0.5 * (like_picture + self._weight * statistics) + flat + 3000 * repeats

    def _balance(self, reference: Tensor, statistics: Tensor, shown: Tensor) -> None:
        norms = [
            float(torch.autograd.grad(loss, shown, retain_graph=True)[0].norm())
            for loss in (reference, statistics)
        ]
        weight = STATISTICS * norms[0] / max(norms[1], 1e-12)
        self._weight = weight if self._weight == 0 else self._weight * (weight / self._weight) ** 0.2


class Examination:
    """Figures on held-out crops, and of even latents."""

    def __init__(self, lesson: Lesson, count: int, size: int) -> None:
        self.judges, self.autocast = Judges(lesson.device), lesson.autocast
        self.pixels = lesson.photographs.held_out(size, count)
        self.even = even_pixels(8, 64, torch.Generator().manual_seed(1)).to(lesson.device)
        self.coded: dict[str, Pass] = {}
        with torch.no_grad():
            latents, flat = lesson.encoder(self.pixels), lesson.encoder(self.even)
            few = torch.full((len(latents),), FEW_STEPS, device=lesson.device)
            for level in LEVELS:
                levels = torch.full_like(few, level)
                self.coded[str(level)] = lesson.lattice.coding_pass(latents, levels, levels * 0 + 0.05)
            self.coded["few"] = lesson.lattice.coding_pass(latents, levels * 0 + 56, None, few)
            self.coded["even"] = lesson.lattice.coding_pass(flat, torch.full((8,), 40, device=lesson.device))
            same = latents[:, :, 5:6, 5:6].expand(-1, -1, 8, 8).contiguous()
            self.coded["same"] = lesson.lattice.coding_pass(same, torch.full_like(few, 40))

    def __call__(self, decoder: nn.Module) -> dict[str, object]:
        row: dict[str, object] = {}
        for name, coded in self.coded.items():
            with self.autocast():
                shown = decoder(coded.coded, coded.log_step, coded.expected).float()
            if name == "even":
                row["even: error"] = round(float((shown - self.even).abs().mean() * 255), 2)
            elif name != "same":
                row[name] = self.judges(self.pixels, shown)
            if name in ("even", "same", "few"):  # of 255
                square = repeating(shown, ALIKE.to(shown.device)).mean().clamp(min=0)
                row[f"{name}: repeats"] = round(float(square.sqrt()) * 255, 2)
        return row


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="decoder")
    parser.add_argument("--start", required=True, help="run with the encoder, and the decoder to begin with")
    parser.add_argument("--teacher", help="run with the teaching decoder; default: that of --start")
    parser.add_argument("--entropy", help="run with the context model; default: that of --start")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192, help="a multiple of 64, at least 128")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=37)
    parser.add_argument("--photographs", type=int, help="read no more than so many")
    parser.add_argument("--validation", type=int, default=256, help="side of the held-out crops")
    parser.add_argument("--held-out", type=int, default=12, help="number of held-out crops")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    lesson = Lesson(args)
    decoder = decoder_of(weights_of(args.start, "decoder")).to(lesson.device)
    width = Decoder().leave.weight.shape[1]
    if decoder.leave.weight.shape[1] > width:
        coded = lesson.draw()[1]
        decoder = narrowed(decoder, width, (coded.coded, coded.log_step, coded.expected))
    examination = Examination(lesson, args.held_out, args.validation)
    with torch.inference_mode():
        print(json.dumps({"teacher": examination(lesson.wide), "start": examination(decoder)}), flush=True)
    stage = Stage(
        args.name,
        nn.ModuleDict({"decoder": decoder.to(lesson.device, memory_format=torch.channels_last)}),
        minutes=args.minutes,
        lr=args.lr,
    )
    lesson.rng.manual_seed(args.seed + stage.step)
    stage.run(
        lambda: lesson.loss(stage.model["decoder"], stage.step), lambda net: examination(net["decoder"])
    )


if __name__ == "__main__":
    main()
