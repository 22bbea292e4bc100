"""Figures on held-out photographs, by measures that no loss uses: LPIPS with AlexNet, and DISTS."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import torch
from assets import ASSETS, Lpips
from context_model import ContextModel, Pass
from periodic_texture import ALIKE, repeating
from photographs import even_pixels
from rounding import rounded_weights
from torch import Tensor, nn

LEVELS = (56, 76, 96)
"""About 5,000, 2,500 and 1,400 bytes at 512x512."""

FEW_STEPS = 8
"""The number of predictions that have arrived in partial held-out crops: those of two of the ten sites."""


def _perceptual() -> ModuleType:
    path = ASSETS / "tools" / "perceptual.py"
    spec = importlib.util.spec_from_file_location("perceptual", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


class Judges:
    """Measures PSNR, LPIPS-SqueezeNet, LPIPS-AlexNet and DISTS of reconstructions, as means over pictures."""

    def __init__(self, device: torch.device) -> None:
        self._measures: Any = _perceptual().Perceptual(str(device))
        self._squeeze = Lpips().to(device)

    @torch.no_grad()
    def __call__(self, pixels: Tensor, shown: Tensor) -> dict[str, float]:
        """Compares two batches float32[N, 3, H, W]; ``shown`` is rounded to 8 bits first."""
        shown = (shown.float().clamp(0, 1) * 255).round() / 255
        rows = []
        for a, b in zip(pixels.split(4), shown.split(4), strict=True):
            psnr = -10 * (a - b).square().mean((1, 2, 3)).log10()
            measures = (
                psnr,
                self._squeeze(a, b),
                self._measures.lpips_alex(a, b),
                self._measures.dists(a, b),
            )
            rows.append(torch.stack(measures, 1))
        means = torch.cat(rows).mean(0).tolist()
        return dict(zip(("psnr", "sq", "alex", "dists"), (round(v, 4) for v in means), strict=True))


class Examination:
    """Measures networks on held-out crops, whole and partial, and on even latents."""

    def __init__(self, pixels: Tensor, teacher: nn.Module, autocast: Any) -> None:
        """``pixels`` float32[N, 3, s, s] in [0, 1], ``teacher`` TAESD's decoder."""
        self.pixels, self.teacher, self.autocast = pixels, teacher, autocast
        self.judges = Judges(pixels.device)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.even = even_pixels(8, 64, pixels.device)

    @torch.no_grad()
    def __call__(self, nets: nn.Module, context_model: ContextModel) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        latents, even = self._latents(nets, self.pixels), self._latents(nets, self.even)
        for level in LEVELS:
            levels = torch.full((len(latents),), level, device=latents.device)
            coded = context_model.coding_pass(
                latents, levels, torch.full_like(levels, 0.05, dtype=torch.float32)
            )
            size = float(context_model.bits(coded.coded, coded).sum()) / 8 / len(latents)
            rows[str(level)] = {"bytes": round(size)} | self.judges(self.pixels, self._shown(nets, coded))
            if level == LEVELS[0]:
                with self.autocast():
                    foreign = self.teacher(coded.coded).float()
                rows[f"{level} by TAESD"] = self.judges(self.pixels, foreign)
        few = torch.full_like(levels, FEW_STEPS)
        shown = self._shown(nets, context_model.coding_pass(latents, levels * 0 + LEVELS[0], None, few))
        rows["few"] = self.judges(self.pixels, shown) | {"repeats": _repeats(shown)}
        shown = self._shown(
            nets, context_model.coding_pass(even, torch.full((len(even),), 40, device=even.device))
        )
        error = float((shown - self.even).abs().mean() * 255)
        rows["even"] = {"error": round(error, 2), "repeats": _repeats(shown)}
        same = latents[:, :, 5:6, 5:6].expand(-1, -1, 8, 8).contiguous()
        shown = self._shown(nets, context_model.coding_pass(same, torch.full_like(levels, 40)))
        return rows | {"same": {"repeats": _repeats(shown)}}

    def _latents(self, nets: nn.Module, pixels: Tensor) -> Tensor:
        with self.autocast():
            return nets.encoder(pixels).float()

    def _shown(self, nets: nn.Module, coded: Pass) -> Tensor:
        inputs = (coded.coded, coded.log_step, coded.expected)
        with self.autocast():
            weights = rounded_weights(nets.decoder, "decoder")
            return torch.func.functional_call(nets.decoder, weights, inputs).float()


def _repeats(shown: Tensor) -> float:
    """Returns the standard deviation of the pattern that repeats in every 8x8 cell of ``shown``, of 255."""
    square = repeating(shown, ALIKE.to(shown.device)).mean().clamp(min=0)
    return round(float(square.sqrt()) * 255, 2)
