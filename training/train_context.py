"""Stages 1 and 3: the integer-valued context model, on latents as the codec quantises them.

``python training/train_context.py --name context --start pictures --minutes 60``. Two thirds of the latents
are the encoder's, quantised with rate-distortion optimisation by the model of the current step. A third are
TAESD's, plainly rounded. Without ``--start`` all are TAESD's.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections import deque
from pathlib import Path

import torch
from assets import taesd_encoder
from context_model import ContextModel
from loop import RUNS, autocast, weights_of
from nets import Encoder
from objective import STEPS_OF_A_PASS, CodingPass
from photographs import Photographs
from quantise import CHANNEL_WEIGHTS, random_lambdas, random_levels, steps_of
from torch import Tensor, nn

LEVELS = (56, 64, 72, 80, 88)


def order0(values: Tensor) -> float:
    """Returns the bits of the static order-0 entropy, per picture and channel, of integers int64[4, h, w]."""
    bits = 0.0
    for channel in values:
        count = torch.unique(channel, return_counts=True)[1].float()
        bits += float(-(count * (count / count.sum()).log2()).sum())
    return bits


class Source:
    """Latents of random crops. They are kept in a pool, because to compute them takes longer than a step.

    Each batch is drawn from the pool, after ``fresh`` crops were added. A full pool drops its oldest crops.
    """

    def __init__(self, args: argparse.Namespace, model: ContextModel, device: torch.device) -> None:
        self.args, self.device = args, device
        self.photographs = Photographs(args.seed, device, args.threads, limit=args.photographs)
        self.encoder: nn.Module | None = None
        if args.start:
            self.encoder = Encoder()
            self.encoder.load_state_dict(weights_of(args.start, "encoder"))
            self.encoder.to(device, memory_format=torch.channels_last).requires_grad_(False)
        self.teacher = taesd_encoder().to(device, memory_format=torch.channels_last)
        self.model = copy.deepcopy(model).freeze()
        self.coding_pass = CodingPass(self.model)
        self._pool: deque[tuple[Tensor, bool]] = deque(maxlen=args.pool)
        self._rng = random.Random(args.seed)

    def autocast(self) -> torch.autocast:
        return autocast(self.device)

    @torch.no_grad()
    def _add_crops(self, count: int) -> None:
        """Adds (latents float16[4, h, w], whether they are the encoder's) of ``count`` crops to the pool."""
        pixels = self.photographs.batch(count, self.args.crop)
        for crop in pixels.split(1):
            own = self.encoder is not None and self._rng.random() < 2 / 3
            with self.autocast():
                latents = self.encoder(crop) if own and self.encoder is not None else self.teacher(crop)
            self._pool.append((latents[0].half(), own))

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """(latents float32[N, 4, h, w] to quantise, their levels int64[N] and Lagrangian multipliers)."""
        self._add_crops(self.args.fresh if len(self._pool) >= self.args.batch else self.args.batch)
        drawn = self._rng.sample(range(len(self._pool)), self.args.batch)
        latents = torch.stack([self._pool[index][0] for index in drawn]).float()
        own = torch.tensor([self._pool[index][1] for index in drawn], device=self.device)
        levels = random_levels(len(drawn), self.device)
        return latents, levels, random_lambdas(levels) * own

    def quantised(self, latents: Tensor, levels: Tensor, lambdas: Tensor) -> Tensor:
        """Integers times their steps, float32[N, 4, h, w]; a coding pass decides those with a multiplier."""
        values = steps_of(levels).view(-1, 1, 1, 1) * CHANNEL_WEIGHTS.to(latents.device)
        values = torch.round(latents / values) * values
        if len(optimised := torch.nonzero(lambdas).flatten()):
            arguments = latents[optimised], levels[optimised], lambdas[optimised]
            everything = torch.full_like(levels[optimised], STEPS_OF_A_PASS)
            values[optimised] = self.coding_pass(*arguments, everything).coded
        return values


def validate(model: ContextModel, pictures: Tensor, own: Tensor) -> dict[str, float]:
    """Bytes of 512x512 pictures: TAESD's latents rounded, against order 0; the encoder's with RDO."""
    row: dict[str, float] = {}
    for level in LEVELS:
        levels = torch.full((len(pictures),), level, device=pictures.device)
        coded = model.coding_pass(pictures, levels)
        bits = float(model.bits(coded.coded, coded).sum())
        step = float(steps_of(levels[:1])[0])
        integers = torch.round(pictures / (step * CHANNEL_WEIGHTS.to(pictures.device))).long()
        row[f"bytes@{step:.2f}"] = round(bits / 8 / len(pictures))
        row[f"saved@{step:.2f}"] = round(100 * (1 - bits / sum(order0(p) for p in integers)), 2)
        coded = model.coding_pass(own, levels, torch.full_like(levels, 0.05, dtype=torch.float32))
        row[f"own@{step:.2f}"] = round(float(model.bits(coded.coded, coded).sum()) / 8 / len(own))
    return row


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="context")
    parser.add_argument("--start", help="a run with the encoder")
    parser.add_argument("--warm-start", help="a run with the context model to begin with")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--fresh", type=int, default=2, help="crops added to the pool at each step")
    parser.add_argument("--pool", type=int, default=8192, help="crops kept in the pool")
    parser.add_argument("--crop", type=int, default=384, help="side in pixels, a multiple of 64")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--photographs", type=int, help="read no more than so many")
    parser.add_argument("--held-out", type=int, default=24, help="number of held-out crops")
    parser.add_argument("--check-every", type=float, default=420, help="seconds")
    parser.add_argument("--save-every", type=float, default=180, help="seconds")
    parser.add_argument("--out", type=Path, help="folder of the log and a copy of the averaged weights")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    torch.backends.cudnn.allow_tf32 = False  # The context model computes in integers.
    if args.device == "cpu":
        torch.set_num_threads(args.threads)
    folder, out = RUNS / args.name, args.out or RUNS / args.name
    for path in (folder, out):
        path.mkdir(parents=True, exist_ok=True)
    began, before, step = time.monotonic(), 0.0, 0
    model = ContextModel()
    if args.warm_start:
        model.load_state_dict(weights_of(args.warm_start, "context_model"))
    model.to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    if (folder / "last.pt").exists():
        state = torch.load(folder / "last.pt", weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        average.load_state_dict({n.removeprefix("context_model."): v for n, v in state["average"].items()})
        optimiser.load_state_dict(state["optimiser"])
        step, before = state["step"], state["spent"]
    source = Source(args, model, device)
    held_out = source.photographs.held_out(512, args.held_out)
    encoder = source.teacher if source.encoder is None else source.encoder
    with torch.no_grad(), source.autocast():
        own = torch.cat([encoder(part).float() for part in held_out.split(4)])
        pictures = torch.cat([source.teacher(part).float() for part in held_out.split(4)])

    def spent() -> float:
        return before + time.monotonic() - began

    def save() -> None:
        shipped = {f"context_model.{n}": v.cpu() for n, v in average.state_dict().items()}
        state = {"model": model.state_dict(), "average": shipped, "optimiser": optimiser.state_dict()}
        torch.save(state | {"step": step, "spent": spent()}, folder / "last.tmp")
        (folder / "last.tmp").replace(folder / "last.pt")
        if out != folder:
            torch.save({"average": shipped}, out / "context.pt")

    def check() -> None:
        with torch.no_grad():
            row = {"step": step, "minutes": round(spent() / 60, 2)} | validate(average, pictures, own)
        with (out / "context.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    saved = checked = time.monotonic()
    while (done := min(spent() / (args.minutes * 60), 1.0)) < 1 or step == 0:
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / 100)
            group["lr"] = args.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        latents, levels, lambdas = source.batch()
        loss = model.mean_code_length(source.quantised(latents, levels, lambdas), levels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        source.model.follow(model)
        step += 1
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        if time.monotonic() - saved > args.save_every:
            save()
            saved = time.monotonic()
        if time.monotonic() - checked > args.check_every:
            check()
            checked = time.monotonic()
    save()
    check()


if __name__ == "__main__":
    main()
