"""Random crops from the cache that ``prepare.py`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from assets import SOURCE_WEIGHT, held_out
from prepare import CACHE
from torch import Tensor


def raster(pixels: np.ndarray, entry: dict) -> np.ndarray:
    """The picture of an entry of the index, uint8[H, W, 3], out of ``pixels.u8``."""
    height, width = entry["size"]
    return pixels[entry["pixels"] :][: height * width * 3].reshape(height, width, 3)


class Crops:
    """Draws photos by source weight and area, and positions uniformly on the 8-pixel grid."""

    def __init__(
        self, seed: int, *, cache: Path = CACHE, latents: tuple[str, ...] = ("latents.f16",)
    ) -> None:
        """``latents``: files of the cache; with several, their channels follow each other."""
        reserved = held_out()
        index = json.loads((cache / "index.json").read_text())
        self._pixels = np.memmap(cache / "pixels.u8", np.uint8, "r")
        self._latents = [np.memmap(cache / name, np.float16, "r") for name in latents]
        self._train = [entry for entry in index if entry["name"] not in reserved]
        self._valid = [entry for entry in index if entry["name"] in reserved]
        area = [SOURCE_WEIGHT.get(e["name"].split("-")[0], 1.0) * np.prod(e["size"]) for e in self._train]
        self._weights = np.array(area) / sum(area)
        self._rng = np.random.default_rng(seed)

    def batch(self, count: int, size: int, *, detailed: bool = False) -> tuple[Tensor, Tensor]:
        """(pixels float32[N, 3, size, size] in [0, 1], latents float32[N, 4, size/8, size/8]).

        ``detailed`` draws twice as many for every second crop and keeps the one with more detail.
        """
        if detailed:
            pixels, latents = self.batch(count + count // 2, size)
            activity = pixels.diff(dim=3).abs().mean((1, 2, 3)) + pixels.diff(dim=2).abs().mean((1, 2, 3))
            keep = torch.arange(count)
            for index in range(count // 2):
                if activity[count + index] > activity[index]:
                    keep[index] = count + index
            return pixels[keep], latents[keep]
        fits = [
            e for e in self._rng.choice(self._train, count * 4, p=self._weights) if min(e["size"]) >= size
        ]  # type: ignore[arg-type]
        crops = [self._crop(entry, size) for entry in fits[:count]]
        return torch.stack([p for p, _ in crops]), torch.stack([z for _, z in crops])

    def validation(self, size: int, limit: int = 48) -> list[tuple[Tensor, Tensor]]:
        """Centre crops of the held-out photos, the same on every call."""
        entries = [e for e in self._valid if min(e["size"]) >= size][:limit]
        return [self._crop(entry, size, centre=True) for entry in entries]

    def _crop(self, entry: dict, size: int, *, centre: bool = False) -> tuple[Tensor, Tensor]:
        height, width = entry["size"]
        h, w, s = height // 8, width // 8, size // 8
        y, x = ((h - s) // 2, (w - s) // 2) if centre else self._rng.integers((h - s + 1, w - s + 1))
        parts = [part[entry["latents"] :][: 4 * h * w].reshape(4, h, w) for part in self._latents]
        crop = raster(self._pixels, entry)[y * 8 : y * 8 + size, x * 8 : x * 8 + size]
        image = torch.from_numpy(crop.copy()).permute(2, 0, 1).float() / 255
        latents = np.concatenate([part[:, y : y + s, x : x + s] for part in parts])
        return image, torch.from_numpy(latents.astype(np.float32))
