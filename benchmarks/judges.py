"""Metrics that were no losses in training: LPIPS with AlexNet and with VGG16, and DISTS.

They come from ``tools/perceptual.py`` in the folder of ``CALOTYPE_ASSETS``, in torch on one thread.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import ASSETS

__all__ = ["JUDGES", "TOOL", "Judges"]

TOOL = ASSETS / "tools" / "perceptual.py"
JUDGES = ("lpips_alex", "lpips_vgg", "dists")


class Judges:
    """Measures all three metrics, which are 0 for equal pictures.

    The features of the last reference are kept, because VGG16 takes most of the time.
    Raises ``FileNotFoundError`` without the tool, ``ImportError`` without torch or safetensors.
    """

    def __init__(self) -> None:
        if not TOOL.is_file():
            raise FileNotFoundError(f"LPIPS with AlexNet and DISTS need {TOOL}: set CALOTYPE_ASSETS")
        import torch

        torch.set_num_threads(1)
        spec = importlib.util.spec_from_file_location("perceptual", TOOL)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"{TOOL} is no Python module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._tool = module.Perceptual("cpu")
        self._vgg, self._tool.vgg = self._tool.vgg, self._remembering_vgg
        self._reference: NDArray[np.uint8] | None = None
        self._kept: dict[bool, tuple[Any, list[Any]]] = {}  # (input, features) by the kind of pooling

    def __call__(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> dict[str, float]:
        """Compares two pictures uint8[H, W, 3] in sRGB; the results have the names in ``JUDGES``."""
        import torch

        if self._reference is None or not np.array_equal(self._reference, reference):
            self._reference = reference.copy()
            self._kept.clear()
        with torch.inference_mode():
            pair = _tensor(reference), _tensor(picture)
            return {name: float(getattr(self._tool, name)(*pair).item()) for name in JUDGES}

    def lpips_alex(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
        """Returns LPIPS with AlexNet alone, of two uint8[H, W, 3] with sides of 64 pixels or more."""
        import torch

        with torch.inference_mode():
            return float(self._tool.lpips_alex(_tensor(reference), _tensor(picture)).item())

    def _remembering_vgg(self, x: Any, l2pool: bool = False) -> list[Any]:
        """Returns the features by the tool's ``vgg``, and keeps those of the first picture: the reference."""
        import torch

        if l2pool not in self._kept:
            self._kept[l2pool] = x, self._vgg(x, l2pool)
        kept, features = self._kept[l2pool]
        return features if torch.equal(kept, x) else self._vgg(x, l2pool)


def _tensor(rgb: NDArray[np.uint8]) -> Any:
    """Converts uint8[H, W, 3] to float32[1, 3, H, W] in [0, 1]."""
    import torch

    return torch.from_numpy(rgb.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))
