"""Stage 2: trains encoder, decoder and context model together, through the codec's own quantiser.

``python training/train_pictures.py --name pictures --start shipped --minutes 120`` on a processor. On a CUDA
machine: ``... --minutes 9 --batch 48 --crop 256 --lr 5e-4 --width 64 --out FOLDER``. The code is the same.

Three quarters of a batch are crops. A twelfth is even: colours, gradients, or latents that are the same
everywhere. For the last sixth TAESD's latents are coded, so that the decoder works with other encoders of the
space; half of these are partial, as in a file that is still arriving. ``objective.py`` has the losses. The
context model minimises the code length of the integers that the coding pass chose. The coding pass gets its
new weights every few steps.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from assets import taesd_decoder, taesd_encoder
from context_model import ContextModel
from judges import Examination
from loop import RUNS, autocast, weights_of
from nets import Decoder, Encoder, grown
from objective import Objective
from photographs import Photographs
from safetensors.torch import save_file
from torch import Tensor, nn

CONTEXT_EVERY = 4
"""The number of training steps of the networks for one of the context model."""

SHARD = 14_000_000
"""The largest size of a file of weights, in bytes."""


class Nets(nn.Module):
    """The networks that are trained and shipped: encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()


def learning_rate(peak: float, step: int, done: float) -> float:
    """Returns the learning rate: a warm-up of 100 steps, then a cosine over time down to a fiftieth of
    ``peak``.

    ``done`` is the fraction of the time that is spent.
    """
    return peak * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


class Run:
    """The state of a run, its optimisers and its files."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, torch.device(args.device)
        self.began, self.before, self.step = time.monotonic(), 0.0, 0
        self.folder, self.out = RUNS / args.name, args.out or RUNS / args.name
        for folder in (self.folder, self.out):
            folder.mkdir(parents=True, exist_ok=True)
        self.photographs = Photographs(args.seed, self.device, args.threads, limit=args.photographs)
        nets = Nets()
        if args.start:
            for part, net in nets.named_children():
                grown(weights_of(args.start, part), net)
        self.nets = nets.to(self.device, memory_format=torch.channels_last)
        self.context = ContextModel()
        self.context.load_state_dict(weights_of(args.entropy or args.start, "context_model"))
        self.context.to(self.device)
        self.fixed_context = copy.deepcopy(self.context).freeze()
        self.average = copy.deepcopy(self.nets).requires_grad_(False)
        self.context_average = copy.deepcopy(self.context).requires_grad_(False)
        teachers = nn.ModuleList((taesd_encoder(), taesd_decoder()))
        self.teachers = teachers.to(self.device, memory_format=torch.channels_last)
        self.objective = Objective(
            args, self.nets, self.fixed_context, self.teachers, self.autocast, self.device
        )
        fused = {"fused": True} if self.device.type == "cuda" else {}
        decayed = {"betas": (0.9, 0.98), "weight_decay": 1e-4}
        self.optimiser = torch.optim.AdamW(self.nets.parameters(), lr=args.lr, **decayed, **fused)
        parameters = self.objective.discriminator.parameters()
        self.discriminator_optimiser = torch.optim.Adam(parameters, lr=3e-4, betas=(0.0, 0.99), **fused)
        self.context_optimiser = torch.optim.AdamW(
            self.context.parameters(), lr=args.context_lr, **decayed, **fused
        )
        held_out = self.photographs.held_out(args.validation, args.held_out)
        self.examination = Examination(held_out, self.teachers[1], self.autocast)
        self._resume()

    def autocast(self) -> torch.autocast:
        return autocast(self.device)

    @property
    def spent(self) -> float:
        """The seconds of the run, those before an interruption included."""
        return self.before + time.monotonic() - self.began

    @property
    def done(self) -> float:
        """The fraction of the run's time that is spent, 0 to 1."""
        return min(self.spent / (self.args.minutes * 60), 1.0)

    def train(self) -> None:
        saved = checked = time.monotonic()
        first, means = self.step, dict[str, Tensor]()
        while self.done < 1 or self.step == 0:
            for name, value in self.advance(self.done).items():
                means[name] = means.get(name, torch.zeros((), device=self.device)) + value.detach()
            now = time.monotonic()
            if now - checked > self.args.check_every:
                self._check(means, self.step - first, now - checked)
                checked, first, means = time.monotonic(), self.step, {}
            if now - saved > self.args.save_every:
                self.save()
                saved = time.monotonic()
        self.save()
        self._check(means, max(self.step - first, 1), time.monotonic() - checked)

    def advance(self, done: float) -> dict[str, Tensor]:
        """Trains all networks by one step and returns the losses; ``done`` is the fraction of the time
        spent.
        """
        for optimiser, peak in (
            (self.optimiser, self.args.lr),
            (self.context_optimiser, self.args.context_lr),
        ):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(peak, self.step, done)
        pixels = self.photographs.batch(self.args.batch, self.args.crop)
        total, parts = self.objective.network_loss(pixels, done, self.step)
        _step(self.optimiser, total, self.nets, 1.0)
        discriminator_loss = self.objective.discriminator_loss(done)
        if discriminator_loss is not None:
            _step(self.discriminator_optimiser, discriminator_loss, self.objective.discriminator, 10.0)
            parts["discriminator"] = discriminator_loss
        if self.step % CONTEXT_EVERY == 0:
            length = self.objective.code_length(self.context)
            _step(self.context_optimiser, length, self.context, 1.0)
            self.fixed_context.follow(self.context)
            parts["code length"] = length * CONTEXT_EVERY
        self.step += 1
        self._average()
        return parts

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(0.999, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.nets.parameters()), 1 - decay)
        if self.step % CONTEXT_EVERY == 1:
            mine, theirs = (list(net.parameters()) for net in (self.context_average, self.context))
            torch._foreach_lerp_(mine, theirs, 1 - decay**CONTEXT_EVERY)

    def _check(self, means: dict[str, Tensor], steps: int, seconds: float) -> None:
        row: dict[str, object] = {"step": self.step, "minutes": round(self.spent / 60, 2)}
        row["crops per second"] = round(steps * self.args.batch / seconds, 1)
        row["losses"] = {name: round(float(value) / steps, 5) for name, value in means.items()}
        row["weights"] = {name: round(value, 4) for name, value in self.objective.weights.items()}
        row["held out"] = self.examination(self.average, copy.deepcopy(self.context_average).freeze())
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    def save(self) -> None:
        """Saves the whole state in the run's folder, and the averaged weights in 16 bits in small files."""
        shipped = self.average.state_dict() | {
            f"context_model.{name}": value for name, value in self.context_average.state_dict().items()
        }
        state = {"nets": self.nets.state_dict(), "average": shipped, "context": self.context.state_dict()}
        state |= {"context optimiser": self.context_optimiser.state_dict()}
        state |= {"discriminator": self.objective.discriminator.state_dict(), "step": self.step}
        state |= {
            "optimiser": self.optimiser.state_dict(),
            "discriminator optimiser": self.discriminator_optimiser.state_dict(),
        }
        state |= {"spent": self.spent, "weights": dict(self.objective.weights)}
        torch.save(state, self.folder / "last.tmp")
        (self.folder / "last.tmp").replace(self.folder / "last.pt")
        exact = "context_model."  # Its integers must be exact; for the networks 16 bits are enough.
        small = {n: (v if n.startswith(exact) else v.half()).cpu() for n, v in shipped.items()}
        write_shards(small, self.out)

    def _resume(self) -> None:
        if not (self.folder / "last.pt").exists():
            return
        state = torch.load(self.folder / "last.pt", weights_only=True, map_location=self.device)
        self.nets.load_state_dict(state["nets"])
        for prefix, net in (("context_model.", self.context_average), ("", self.average)):
            own = {f"{prefix}{name}" for name in net.state_dict()}
            net.load_state_dict({n.removeprefix(prefix): v for n, v in state["average"].items() if n in own})
        self.context.load_state_dict(state["context"])
        self.context_optimiser.load_state_dict(state["context optimiser"])
        self.fixed_context.follow(self.context)
        self.objective.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.discriminator_optimiser.load_state_dict(state["discriminator optimiser"])
        self.step, self.before = state["step"], state["spent"]
        self.objective.weights.update(state["weights"])


def _step(optimiser: torch.optim.Optimizer, loss: Tensor, net: nn.Module, max_norm: float) -> None:
    """Makes an optimiser step with the gradient clipped to the norm ``max_norm``, if the norm is finite.

    On CUDA the check does not wait for the value.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm)
    if norm.device.type == "cuda":
        optimiser.grad_scale, optimiser.found_inf = None, (~torch.isfinite(norm)).float()
        optimiser.step()
    elif math.isfinite(float(norm)):
        optimiser.step()


def write_shards(state: dict[str, Tensor], folder: Path) -> None:
    """Writes ``weights-0.safetensors`` and so on, each of at most ``SHARD`` bytes."""
    shards: list[dict[str, Tensor]] = [{}]
    room = SHARD
    for name, value in state.items():
        size = value.numel() * value.element_size()
        if size > room:
            shards.append({})
            room = SHARD
        shards[-1][name] = value.contiguous()
        room -= size
    for number, shard in enumerate(shards):
        save_file(shard, folder / f"weights-{number}.tmp")
        (folder / f"weights-{number}.tmp").replace(folder / f"weights-{number}.safetensors")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="pictures")
    parser.add_argument("--start", help="a run whose averaged weights to begin with; default: none")
    parser.add_argument("--entropy", help="a run with the context model; default: that of --start")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--context-lr", type=float, default=3e-4, help="learning rate of the context model")
    parser.add_argument("--width", type=int, default=16, help="of the discriminator")
    parser.add_argument("--discriminator-from", type=float, default=0.2, help="share of the time; 1: none")
    parser.add_argument(
        "--adversarial",
        type=float,
        default=0.3,
        help="norm of the adversarial loss's gradient, relative to L1 and LPIPS",
    )
    parser.add_argument("--fix-encoder-from", type=float, default=0.75, help="share of the time")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--photographs", type=int, help="read no more than so many")
    parser.add_argument("--validation", type=int, default=512, help="side of the held-out crops")
    parser.add_argument("--held-out", type=int, default=16, help="number of held-out crops")
    parser.add_argument("--check-every", type=float, default=420, help="seconds")
    parser.add_argument("--save-every", type=float, default=180, help="seconds")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--benchmark", action="store_true", help="cuDNN times its kernels")
    parser.add_argument("--out", type=Path, help="folder of the log and the averaged weights")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    if args.device == "cpu":
        torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = args.benchmark
    torch.backends.cudnn.allow_tf32 = (
        False  # Computations in float32 must be exact: those of the context model and of the judges.
    )
    run = Run(args)
    print(f"{len(run.photographs)} photographs, {run.spent:.1f} s to begin", flush=True)
    run.train()


if __name__ == "__main__":
    main()
