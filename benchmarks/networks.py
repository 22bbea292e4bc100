"""Networks alone, in torch: those of TAESD, the reference for speed, and those of pocket by the same
arithmetic.

The modules are those of training. TAESD's weights are in the folder of ``CALOTYPE_ASSETS``.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import ASSETS, ROOT
from calotype.latents import SD1
from calotype.models import Differentiable, load_decoder

__all__ = ["TILE", "Pocket", "Taesd", "TaesdBfloat16"]

TILE = 1024  # pixels; larger pictures are cut, without overlap, to bound the memory


class _Networks(ABC):
    """Encoder and decoder in float32 on the CPU; each is loaded when it is first used.

    Raises ``ImportError`` if torch or another package is missing.
    """

    def __init__(self, threads: int | None = None) -> None:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        if (training := str(ROOT / "training")) not in sys.path:
            sys.path.append(training)
        self._loaded: dict[str, Callable[[Any], Any]] = {}

    @abstractmethod
    def _load(self, part: str) -> Callable[[Any], Any]:
        """Returns the network "encoder" or "decoder"."""

    def encode(self, rgb: NDArray[np.uint8], tile: int | None = None) -> NDArray[np.float32]:
        """Encodes uint8[H, W, 3] to latents float32[4, ceil(H/8), ceil(W/8)], scaled by 0.18215.

        The edges are repeated up to a multiple of 8. With ``tile``, a multiple of 8 pixels, the picture is
        encoded in tiles of this side.
        """
        padded = np.pad(rgb, ((0, -rgb.shape[0] % 8), (0, -rgb.shape[1] % 8), (0, 0)), mode="edge")
        height, width = padded.shape[0] // 8, padded.shape[1] // 8
        step = (tile or 8 * max(height, width)) // 8
        latents = np.empty((4, height, width), np.float32)
        for top in range(0, height, step):
            for left in range(0, width, step):
                part = padded[8 * top : 8 * (top + step), 8 * left : 8 * (left + step)]
                unit = part.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
                latents[:, top : top + step, left : left + step] = self._run("encoder", unit)
        return latents

    def decode(self, latents: NDArray[np.float32], tile: int | None = None) -> NDArray[np.uint8]:
        """Decodes latents float32[4, h, w] to uint8[8h, 8w, 3], with ``tile`` (pixels, a multiple of 8) in
        tiles.
        """
        height, width = latents.shape[1:]
        step = (tile or 8 * max(height, width)) // 8
        rgb = np.empty((8 * height, 8 * width, 3), np.uint8)
        for top in range(0, height, step):
            for left in range(0, width, step):
                part = self._run("decoder", latents[:, top : top + step, left : left + step])
                pixels = (part.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
                rgb[8 * top : 8 * (top + step), 8 * left : 8 * (left + step)] = pixels
        return rgb

    def _run(self, part: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        if part not in self._loaded:
            self._loaded[part] = self._load(part)
        with torch.inference_mode():
            output = self._loaded[part](torch.from_numpy(np.ascontiguousarray(x))[None])
        y: NDArray[np.float32] = output[0].float().numpy()
        return y


class Taesd(_Networks):
    """TAESD's networks. Raises ``FileNotFoundError`` without the weights."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__(threads)
        import safetensors  # noqa: F401  (fails here, not after minutes of work)

        if not (weights := ASSETS / "models" / "taesd").is_dir():
            raise FileNotFoundError(f"TAESD needs {weights}: set CALOTYPE_ASSETS")

    def _load(self, part: str) -> Callable[[Any], Any]:
        import assets

        network: Callable[[Any], Any] = getattr(assets, f"taesd_{part}")()
        return network


class TaesdBfloat16(Taesd):
    """TAESD with its convolutions in bfloat16."""

    def _run(self, part: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.autocast("cpu", torch.bfloat16):
            return super()._run(part, x)


class Pocket(_Networks):
    """Pocket's networks by the same arithmetic as TAESD's.

    The encoder has the architecture of the embedded one and random weights. The decoder is the embedded one;
    its input for the step is 1/2.
    """

    def _load(self, part: str) -> Callable[[Any], Any]:
        import torch

        if part == "encoder":
            import nets

            encoder: Callable[[Any], Any] = nets.Encoder().eval()
            return encoder
        embedded = load_decoder("pocket", SD1.id)
        if not isinstance(embedded, Differentiable):
            raise TypeError(f"pocket's decoder ({type(embedded).__name__}) cannot be run by torch")
        decoder = embedded.differentiable()
        return lambda latents: decoder(latents, -torch.ones_like(latents[:, :1]), latents)
