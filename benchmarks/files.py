"""The metrics of each codec's files within budgets of bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.judges import JUDGES
from benchmarks.scene import CALOTYPE, Kit, Scene
from calotype.errors import CalotypeError

__all__ = ["BUDGETS", "METRICS", "codecs_here", "figure_names", "file_figures"]

BUDGETS = (5000, 4096, 2500, 1250, 1024)
"""The largest sizes of whole files, in bytes at 512x512 pixels."""

METRICS = ("psnr", "lpips_sq", *JUDGES, "ssimulacra2")


def figure_names(codec: str, budget: int) -> list[str]:
    """Returns the names of the figures of a codec's file; ``fits`` is 1 if it is within the budget, otherwise
    0."""
    return [f"{codec}-{budget}.{name}" for name in ("bytes", "fits", *METRICS)]


def file_figures(scene: Scene, codec: str, budgets: Sequence[int]) -> dict[str, float]:
    """Returns bytes and metrics of a codec's best file within each budget, or of its smallest file.

    A file that is the same for several budgets is measured once.
    """
    if codec == CALOTYPE:
        files = [scene.coded(budget) for budget in budgets]
    else:
        files = scene.kit.codec(codec).compress(scene.rgb, [scene.bytes_within(b) for b in budgets])
    measured: dict[bytes, dict[str, float]] = {}
    figures: dict[str, float] = {}
    for budget, coded in zip(budgets, files, strict=True):
        if coded.data not in measured:
            measured[coded.data] = _metrics(scene, coded.rgb)
        values = {"bytes": coded.size, "fits": int(coded.fits)} | measured[coded.data]
        figures |= {f"{codec}-{budget}.{name}": value for name, value in values.items()}
    return figures


def _metrics(scene: Scene, picture: NDArray[np.uint8]) -> dict[str, float]:
    pair, kit = (scene.rgb, picture), scene.kit
    figures = {"psnr": kit.psnr(*pair), "lpips_sq": kit.lpips(*pair), "ssimulacra2": kit.ssimulacra2(*pair)}
    return figures | kit.judges(*pair)


def codecs_here(codecs: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Returns (the codecs that can run here, the reasons why the others cannot, by name)."""
    kit, ready, missing = Kit(), [], {}
    for name in codecs:
        try:
            kit.codec(name)
            ready.append(name)
        except (CalotypeError, FileNotFoundError, ImportError) as error:
            missing[name] = str(error)
    return ready, missing
