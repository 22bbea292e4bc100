"""The metrics, by name. A new one needs a small file and a line in ``METRICS``.

PSNR and MS-SSIM measure fidelity; SSIMULACRA2 and LPIPS measure differences that an observer would notice. A
generative codec should be judged by both kinds together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from calotype.compare.metrics.base import Metric, Pixels, UnmeasurableError
from calotype.compare.metrics.lpips import Lpips
from calotype.compare.metrics.ms_ssim import MsSsim
from calotype.compare.metrics.psnr import Psnr
from calotype.compare.metrics.ssimulacra2 import Ssimulacra2
from calotype.errors import ModelError

__all__ = [
    "METRICS",
    "Lpips",
    "Metric",
    "MsSsim",
    "Pixels",
    "Psnr",
    "Ssimulacra2",
    "UnmeasurableError",
    "available_metrics",
]

METRICS: dict[str, type[Psnr | MsSsim | Ssimulacra2 | Lpips]] = {
    "psnr": Psnr,
    "ms_ssim": MsSsim,
    "ssimulacra2": Ssimulacra2,
    "lpips": Lpips,
}
"""The metrics in the order of every table; titles, units and directions are attributes of the classes."""


def available_metrics(
    lpips: Path | None = None, threads: int | None = None
) -> tuple[dict[str, Metric], dict[str, str]]:
    """Returns (the metrics that can run here, the reasons why the others cannot), by name.

    ``lpips`` is the graph of that metric. Raises :class:`ModelError` if one is given and cannot be used.
    """
    makers: dict[str, Callable[[], Metric]] = dict(METRICS) | {"lpips": lambda: Lpips(lpips, threads)}
    metrics: dict[str, Metric] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            metrics[name] = make()
        except ModelError as error:
            if name == "lpips" and lpips is not None:
                raise
            missing[name] = str(error)
    return metrics, missing
