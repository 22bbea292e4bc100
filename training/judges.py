"""Figures on held-out photographs, by measures that no loss uses: LPIPS with AlexNet, and DISTS."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import torch
from assets import ASSETS, Lpips
from torch import Tensor, nn

LEVELS = (56, 76)
"""About 5,000 and 2,000 bytes at 512x512."""


def _perceptual() -> ModuleType:
    path = ASSETS / "tools" / "perceptual.py"
    spec = importlib.util.spec_from_file_location("perceptual", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


class Judges:
    """PSNR, LPIPS-SqueezeNet, LPIPS-AlexNet and DISTS of reconstructions, as means over pictures."""

    def __init__(self, device: torch.device) -> None:
        self._measures: Any = _perceptual().Perceptual(str(device))
        self._squeeze = Lpips().to(device)

    @torch.no_grad()
    def __call__(self, pixels: Tensor, shown: Tensor) -> dict[str, float]:
        """Both float32[N, 3, H, W]; ``shown`` is rounded to 8 bits first."""
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


@torch.no_grad()
def validate(
    nets: nn.Module, lattice: nn.Module, teacher: nn.Module, judges: Judges, pixels: Tensor, autocast: Any
) -> dict[str, dict[str, float]]:
    """Figures at LEVELS, without and with refinement; at the first level through TAESD's decoder too."""
    rows: dict[str, dict[str, float]] = {}
    for level in LEVELS:
        levels = torch.full((len(pixels),), level, device=pixels.device)
        lambda_ = torch.full((len(pixels),), 0.05, device=pixels.device)
        with autocast():
            latents = nets.encoder(pixels).float()
        for name in ("", "refined "):
            coded = lattice.coding_pass(latents, levels, lambda_)
            size = float(lattice.bits(coded.coded, coded).sum()) / 8 / len(pixels)
            with autocast():
                shown = nets.decoder(coded.coded, coded.log_step, coded.expected).float()
            rows[f"{name}{level}"] = {"bytes": round(size)} | judges(pixels, shown)
            if level == LEVELS[0]:
                with autocast():
                    foreign = teacher(coded.coded).float()
                rows[f"{name}{level} by TAESD"] = judges(pixels, foreign)
            with autocast():
                change = nets.refiner(pixels, shown.clamp(0, 1), latents, coded.expected, coded.log_step)
            latents = latents + change.float()
    return rows
