"""Random crops of the training photographs, which are held in the memory of the training device.

The files are decoded once, by all cores. The teacher's latents of a crop are computed when they are needed.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from assets import ASSETS, SOURCE_WEIGHT, TRAINING_SETS, held_out
from PIL import Image
from torch import Tensor

CATEGORY_WEIGHT = {"text-sign": 1.5, "food": 0.7, "crowd-group": 1.2, "street-building": 1.3}
"""How often a photograph of a category is drawn, relative to its area; 1 for those not named."""

SCALES = (0.5, 0.4, 0.1)
"""The probabilities that a crop has its own size, is reduced by a factor of 1 to 2, or enlarged by 1 to 1.4.
"""


def listed() -> list[tuple[Path, float]]:
    """Returns (file, weight) of every listed photograph that exists, sorted by name."""
    photographs = []
    for folder in TRAINING_SETS:
        with (ASSETS / "data" / folder / "SOURCES.tsv").open(newline="") as table:
            for row in csv.DictReader(table, delimiter="\t"):
                category = (row.get("category") or "").split(",")[0]
                weight = SOURCE_WEIGHT.get(row["file"].split("-")[0], 1.0)
                path = ASSETS / "data" / folder / row["file"]
                if path.exists():
                    photographs.append((path, weight * CATEGORY_WEIGHT.get(category, 1.0)))
    return sorted(photographs)


def even_pixels(count: int, size: int, device: torch.device) -> Tensor:
    """Returns float32[count, 3, size, size] in [0, 1]: even colours and gradients, half of them saturated."""
    ends = torch.rand((count, 2, 3, 1, 1), device=device)
    saturated = torch.rand((count, 1, 1, 1, 1), device=device) < 0.5
    ends = torch.where(saturated, ends.round(), ends)
    ramp = torch.linspace(0, 1, size, device=device)
    ramp = torch.stack([ramp.expand(size, size), ramp.view(-1, 1).expand(size, size)])
    share = ramp[torch.randint(2, (count,), device=device)].unsqueeze(1)
    varies = torch.rand((2, count, 1, 1, 1), device=device)
    share = share * varies[0] * (varies[1] < 0.5)
    return ends[:, 0] * (1 - share) + ends[:, 1] * share


def _decoded(path: Path) -> Tensor:
    """Returns the pixels of a file, uint8[3, H, W]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


class Photographs:
    """Random crops of the training photographs, and the held-out ones whole."""

    def __init__(self, seed: int, device: torch.device, threads: int, *, limit: int | None = None) -> None:
        """Decodes every photograph, or the first ``limit``, with ``threads`` threads."""
        reserved = held_out()
        photographs = [item for item in listed() if item[0].name not in reserved][:limit]
        with ThreadPoolExecutor(threads) as pool:
            self._pictures = [p.to(device) for p in pool.map(_decoded, [path for path, _ in photographs])]
        area = [w * p.shape[1] * p.shape[2] for (_, w), p in zip(photographs, self._pictures, strict=True)]
        self._weights = np.array(area) / sum(area)
        self._reserved = [path for path, _ in listed() if path.name in reserved]
        self._rng, self._device = np.random.default_rng(seed), device

    def __len__(self) -> int:
        return len(self._pictures)

    def batch(self, count: int, size: int) -> Tensor:
        """Returns random crops float32[count, 3, size, size] in [0, 1].

        They are scaled; half of them are mirrored, and a quarter have their colours changed.
        """
        crops = torch.empty((count, 3, size, size), device=self._device)
        for number in range(count):
            crops[number] = self._crop(size)
        chance = torch.rand((2, count, 1, 1, 1), device=self._device)
        crops = torch.where(chance[0] < 0.5, crops.flip(3), crops)
        matrix = torch.eye(3, device=self._device) + 0.08 * torch.randn((count, 3, 3), device=self._device)
        shift = 0.5 + 0.05 * torch.randn((count, 3, 1, 1), device=self._device)
        recoloured = torch.einsum("nij,njhw->nihw", matrix, crops - 0.5)
        crops = torch.where(chance[1] < 0.25, (recoloured + shift).clamp(0, 1), crops)
        return crops.contiguous(memory_format=torch.channels_last)

    def _crop(self, size: int) -> Tensor:
        while True:
            picture = self._pictures[self._rng.choice(len(self._pictures), p=self._weights)]
            kind = self._rng.choice(3, p=SCALES)
            factor = (1.0, self._rng.uniform(1, 2), self._rng.uniform(1 / 1.4, 1))[kind]
            side = round(size * factor)
            if min(picture.shape[1:]) < side:
                side = min(min(picture.shape[1:]), side)
                if side < 0.7 * size:
                    continue
            y, x = (int(self._rng.integers(n - side + 1)) for n in picture.shape[1:])
            window = picture[:, y : y + side, x : x + side].float() / 255
            if side != size:
                options = {"mode": "bicubic", "antialias": True, "align_corners": False}
                window = F.interpolate(window[None], (size, size), **options)[0].clamp(0, 1)
            return window

    def held_out(self, size: int, limit: int) -> Tensor:
        """Returns centre crops of up to ``limit`` held-out photographs, float32[N, 3, size, size] in
        [0, 1].
        """
        large = [path for path in self._reserved if min(_size(path)) >= size]
        chosen = [_decoded(path) for path in large[:: max(len(large) // limit, 1)][:limit]]
        crops = []
        for picture in chosen:
            y, x = ((n - size) // 2 for n in picture.shape[1:])
            crops.append(picture[:, y : y + size, x : x + size])
        batch = torch.stack(crops).to(self._device).float() / 255
        return batch.contiguous(memory_format=torch.channels_last)
