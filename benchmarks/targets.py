"""The targets of the embedded model, and whether the figures meet them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from benchmarks.ledger import Figures
from benchmarks.measures import ENTROPY_LEVELS, PERIOD
from benchmarks.scene import CALOTYPE, MODELS

__all__ = ["Target", "embedded_megabytes", "markdown", "pattern", "targets", "unevenness"]

_TARGET_FIGURES = {
    5000: {"lpips_alex": 0.090, "dists": 0.068, "lpips_sq": 0.080, "ssimulacra2": 5.0, "psnr": 24.3},
    4096: {"lpips_alex": 0.096, "dists": 0.071, "lpips_sq": 0.090, "ssimulacra2": 0.0, "psnr": 24.0},
    2500: {"lpips_alex": 0.125, "dists": 0.090, "lpips_sq": 0.115, "ssimulacra2": -25.0, "psnr": 23.0},
    1024: {"lpips_alex": 0.162, "dists": 0.112, "lpips_sq": 0.180, "ssimulacra2": -50.0, "psnr": 21.5},
}
"""The targets by bytes and metric.

At 4,096 and 1,024 bytes those of LPIPS-Alex and DISTS are CoD-Lite's results.
"""

_HALF = {
    5000: {"lpips_alex": 0.135, "dists": 0.105},
    4096: {"lpips_alex": 0.144, "dists": 0.125},
    1024: {"lpips_alex": 0.265, "dists": 0.184},
}
"""Figures half-way, or a little more, from those of the earlier model to the targets."""

# Heading, format, unit, whether higher is better.
_METRICS = {
    "lpips_alex": ("LPIPS-Alex", ".3f", "", False),
    "dists": ("DISTS", ".3f", "", False),
    "lpips_sq": ("LPIPS-Sq", ".3f", "", False),
    "ssimulacra2": ("SSIMULACRA2", ".1f", "", True),
    "psnr": ("PSNR", ".2f", " dB", True),
}

_TAESD_LPIPS = 0.110  # LPIPS-Sq of pocket's files of 5,000 bytes through TAESD's decoder
_ENTROPY_SAVED = 20  # per cent, at a step of 0.5
_EMBEDDED = 25  # megabytes of all embedded networks and tables

_TINT = 1.0  # 1/255: mean error of a colour

_GRID = 0.1
"""The largest excess of a pattern of brightness over that of the originals, in 1/255.

Lines of every eighth pixel that are one level of 255 brighter make a pattern of 0.43 and are hardly visible.
"""

_REPEATING = 0.15
"""The largest excess of the deviation of noise that repeats every 8 pixels over that of the originals, in
1/255.

A deviation of 1.0 is visible as a pattern; Kodak's originals have 0.15.
"""


@dataclass(frozen=True)
class Target:
    """One line of the report; ``met`` is None for a figure without a target."""

    group: str
    what: str
    wanted: str
    measured: str
    met: bool | None


def targets(figures: Figures) -> list[Target]:
    """Returns every target for which ``figures`` has a value."""
    lines: list[Target] = []
    for budget, limits in _TARGET_FIGURES.items():
        if figures.has(f"{CALOTYPE}-{budget}.bytes"):
            group = f"What to reach: {budget:,} bytes"
            lines += [_within(group, budget, figures), *_reached(group, budget, limits, figures)]
    for budget, limits in _HALF.items():
        if figures.has(f"{CALOTYPE}-{budget}.bytes"):
            lines += _reached(f"At least half of each distance: {budget:,} bytes", budget, limits, figures)
    if figures.has("file-5000-into-taesd.lpips_sq"):
        lines += _space("And: the same latent space", figures)
    if figures.has(f"rans-{MODELS[0]}-0.5.bytes"):
        lines += _entropy("And: entropy coding, bytes below order-0 entropy", figures)
    if figures.has("colour.r"):
        lines += _tint("And: no tint, at 5,000 bytes", figures)
        lines += _grid("And: no grid, at 5,000 bytes", figures)
    lines.append(at_most("And: size", "all that is embedded", _EMBEDDED, embedded_megabytes(), ".1f", " MB"))
    return lines


def at_most(group: str, what: str, limit: float, value: float, form: str, unit: str = "") -> Target:
    """Returns the line of a figure that must not exceed ``limit``."""
    return Target(group, what, f"≤ {limit:{form}}{unit}", f"{value:{form}}{unit}", value <= limit)


def _at_least(group: str, what: str, limit: float, value: float, form: str, unit: str = "") -> Target:
    return Target(group, what, f"≥ {limit:{form}}{unit}", f"{value:{form}}{unit}", value >= limit)


def _within(group: str, budget: int, figures: Figures) -> Target:
    size, fits = figures.mean(f"{CALOTYPE}-{budget}.bytes"), figures.values(f"{CALOTYPE}-{budget}.fits")
    every = f"{len(fits)} of {len(fits)}"
    measured = f"{size:,.0f}, {int(fits.sum())} of {len(fits)}"
    return Target(group, "bytes", f"≤ {budget:,}, {every}", measured, bool(fits.all()))


def _reached(group: str, budget: int, limits: dict[str, float], figures: Figures) -> list[Target]:
    lines = []
    for metric, limit in limits.items():
        title, form, unit, higher_is_better = _METRICS[metric]
        compare = _at_least if higher_is_better else at_most
        value = figures.mean(f"{CALOTYPE}-{budget}.{metric}")
        lines.append(compare(group, title, limit, value, form, unit))
    return lines


def _entropy(group: str, figures: Figures) -> list[Target]:
    lines = []
    for model, whose in (("taesd", "TAESD's"), ("pocket", "pocket's")):
        for step in ENTROPY_LEVELS:
            ratio = figures.mean(f"rans-{model}-{step}.bytes") / figures.mean(f"order0-{model}-{step}.bytes")
            saved, what = 100 * (1 - ratio), f"{whose} latents, step {step}"
            if (model, step) == ("taesd", "0.5"):
                lines.append(_at_least(group, what, _ENTROPY_SAVED, saved, ".1f", " %"))
            else:
                lines.append(Target(group, what, "-", f"{saved:.1f} %", None))
    return lines


def _space(group: str, figures: Figures) -> list[Target]:
    what = "pocket's files of 5,000 bytes through TAESD's decoder: LPIPS-Sq"
    lines = [at_most(group, what, _TAESD_LPIPS, figures.mean("file-5000-into-taesd.lpips_sq"), ".3f")]
    (ours_mean, ours_deviation), (mean, deviation) = (_moments(figures, model) for model in MODELS)
    for channel in range(4):
        offset = (ours_mean - mean)[channel] / deviation[channel]
        excess = 100 * (ours_deviation[channel] / deviation[channel] - 1)
        what, measured = (
            f"channel {channel}: mean, deviation beside TAESD's",
            f"{offset:+.3f} σ, {excess:+.1f} %",
        )
        lines.append(Target(group, what, "-", measured, None))
    return lines


def _moments(figures: Figures, encoder: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns (mean, standard deviation) of each latent channel over all pictures, float64[4] each."""
    mean = np.array([figures.mean(f"{encoder}-mean.{channel}") for channel in range(4)])
    square = np.array([figures.mean(f"{encoder}-square.{channel}") for channel in range(4)])
    return mean, np.sqrt(square - mean**2)


def _tint(group: str, figures: Figures) -> list[Target]:
    lines = []
    for channel, name in (("r", "red"), ("g", "green"), ("b", "blue")):
        values = figures.values(f"colour.{channel}")
        error, worst = float(values.mean()), float(values[np.abs(values).argmax()])
        measured = f"{error:+.2f}/255 (one picture: at most {worst:+.2f})"
        lines.append(
            Target(group, f"mean error of {name}", f"within {_TINT:.0f}/255", measured, abs(error) <= _TINT)
        )
    return lines


def _grid(group: str, figures: Figures) -> list[Target]:
    lines = []
    for period in (2, 4, 8, 16):
        ours, originals = (pattern(figures, name, period) for name in ("decoded", "original"))
        uneven = [f"{unevenness(figures, name, period):.2f} %" for name in ("decoded", "original")]
        what, limit = f"pattern of {period} pixels; unevenness of gradients", originals + _GRID
        measured = f"{ours:.2f}/255; {uneven[0]} (original: {originals:.2f}/255; {uneven[1]})"
        lines.append(Target(group, what, f"≤ {limit:.2f}/255", measured, ours <= limit))
    ours, originals = (_deviation(figures, f"repeating-{name}") for name in ("decoded", "original"))
    what, measured = "grain that repeats every 8 pixels", f"{ours:.2f}/255 (original: {originals:.2f}/255)"
    limit = originals + _REPEATING
    lines.append(Target(group, what, f"≤ {limit:.2f}/255", measured, ours <= limit))
    ours, originals = (_deviation(figures, f"grain-{name}") for name in ("decoded", "original"))
    measured = f"{ours:.2f}/255 (original: {originals:.2f}/255)"
    lines.append(Target(group, "grain of even areas, standard deviation", "-", measured, None))
    return lines


def _deviation(figures: Figures, name: str) -> float:
    """Returns the standard deviation of the pixels of all even blocks of 16x16."""
    pixels = 256 * max(figures.values("even.blocks").sum(), 1)
    return float(np.sqrt(figures.values(f"{name}.square").sum() / pixels))


def pattern(figures: Figures, name: str, period: int) -> float:
    """Returns the strength of a grid of ``period`` pixels over every picture, in 1/255."""
    return float(_folded(figures, f"pattern-{name}", period).std())


def unevenness(figures: Figures, name: str, period: int) -> float:
    """Returns the differences of the gradients at the positions within a period, in per cent of their mean.

    It cannot show a period of 2, whose two gradients are equal.
    """
    folded = _folded(figures, f"gradient-{name}", period)
    return float(100 * folded.std() / folded.mean())


def _folded(figures: Figures, name: str, period: int) -> NDArray[np.float64]:
    profile = np.array([figures.mean(f"{name}.{position}") for position in range(PERIOD)])
    return np.asarray(profile.reshape(-1, period).mean(0))


def embedded_megabytes() -> float:
    """Returns the size of all networks and tables in the package, in MB (1,000,000 bytes)."""
    folder = files("calotype.models") / "weights"
    return sum(len(file.read_bytes()) for file in folder.iterdir() if file.is_file()) / 1e6


def markdown(lines: Iterable[Target]) -> str:
    """Returns the targets as a Markdown table."""
    text = ["| | wanted | measured | |", "| --- | ---: | ---: | --- |"]
    group = ""
    for line in lines:
        if line.group != group:
            group = line.group
            text.append(f"| **{group}** | | | |")
        verdict = {True: "met", False: "**missed**", None: ""}[line.met]
        text.append(f"| {line.what} | {line.wanted} | {line.measured} | {verdict} |")
    return "\n".join(text) + "\n"
