"""The training loop: schedule, moving average of the weights, checkpoints and log."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as workers
from torch import Tensor, nn

RUNS = Path(os.environ.get("CALOTYPE_RUNS", Path(__file__).resolve().parent / "runs"))
CACHE = Path(__file__).resolve().parent / "cache"


def autocast(device: torch.device) -> torch.autocast:
    """Returns a context for bfloat16 on CUDA and on processors with AMX.

    On other processors, even with AVX-512 BF16, float32 is faster, and the context has no effect.
    """
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def weights_of(run: str, part: str = "") -> dict[str, Tensor]:
    """Returns the averaged weights of a run; ``part`` selects a network of a joint run."""
    state: dict[str, Tensor] = torch.load(RUNS / run / "last.pt", weights_only=True)["average"]
    within = {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
    return within or state


class Stage:
    """One resumable run: ``runs/NAME/last.pt`` is the checkpoint, ``log.jsonl`` the loss curve.

    The learning rate follows a cosine over the *time*, so that a stage takes its minutes on any machine.
    ``average`` holds an exponential moving average of the weights. Processes that ``torchrun`` starts share
    one run: they average their gradients, and the first one writes.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        minutes: float,
        lr: float,
        start: str | None = None,
    ) -> None:
        if "RANK" in os.environ:
            workers.init_process_group("gloo")
        self.rank = workers.get_rank() if workers.is_initialized() else 0
        self.folder = RUNS / name
        self.folder.mkdir(parents=True, exist_ok=True)
        # ``start`` has the averaged weights of an earlier stage; layers that it lacks begin with random ones.
        if start is not None:
            model.load_state_dict(weights_of(start), strict=False)
        self.model, self.average = model, copy.deepcopy(model).requires_grad_(False)
        self.minutes, self.lr = minutes, lr
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=1e-4)
        self.step, self.spent = 0, 0.0
        if (self.folder / "last.pt").exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.folder / "last.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.spent = state["step"], state["spent"]

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        state |= {"optimiser": self.optimiser.state_dict(), "step": self.step, "spent": self.spent}
        torch.save(state, self.folder / "last.tmp")
        (self.folder / "last.tmp").replace(self.folder / "last.pt")

    @property
    def done(self) -> float:
        """Returns the fraction of the minutes that has passed, 0 to 1."""
        return self.spent / (self.minutes * 60)

    def run(self, loss: Callable[[], Tensor], validate: Callable[[nn.Module], dict[str, float]]) -> None:
        """Minimises ``loss`` until the minutes are spent; saves every three minutes and validates every
        seven.
        """
        saved, checked, total, count = time.monotonic(), time.monotonic(), 0.0, 0
        while self.done < 1:
            began = time.monotonic()
            warm = min(1.0, (self.step + 1) / 200)
            for group in self.optimiser.param_groups:
                group["lr"] = self.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.done)))
            value = loss()
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
            self._share_gradients()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.step += 1
            decay = min(0.999, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(now, 1 - decay)
            total, count = total + float(value.detach()), count + 1
            self.spent += time.monotonic() - began
            if self.rank == 0 and time.monotonic() - saved > 180:
                self.save()
                saved = time.monotonic()
            if self.rank == 0 and time.monotonic() - checked > 420:
                self._log(total / count, validate)
                checked, total, count = time.monotonic(), 0.0, 0
        if self.rank == 0:
            self.save()
            self._log(total / max(count, 1), validate)

    def _share_gradients(self) -> None:
        """Averages the gradients and the time spent over all processes, so that all of them stop at once."""
        if not workers.is_initialized():
            return
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        everything = torch.cat([g.flatten() for g in gradients] + [torch.tensor([self.spent])])
        workers.all_reduce(everything)
        everything /= workers.get_world_size()
        parts = everything[:-1].split([g.numel() for g in gradients])
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view(gradient.shape))
        self.spent = float(everything[-1])

    def _log(self, mean: float, validate: Callable[[nn.Module], dict[str, float]]) -> None:
        self.average.eval()
        with torch.inference_mode():
            row = {"step": self.step, "minutes": round(self.spent / 60, 1), "loss": mean} | validate(
                self.average
            )
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
