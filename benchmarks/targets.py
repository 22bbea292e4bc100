"""The targets of the embedded model, and whether the figures meet them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures import ENTROPY_LEVELS, PERIOD, RDO_LEVELS
from calotype.compare.bd_rate import bd_rate
from calotype.compare.rows import Row

__all__ = [
    "BUDGETS",
    "CODECS",
    "Figures",
    "Target",
    "details",
    "markdown",
    "pattern",
    "targets",
    "unevenness",
]

_OURS = "calotype-pocket"
_RIVALS = ("jpeg", "webp", "avif", "jxl")
_LPIPS_PSNR = {5000: (0.080, 24.0), 2500: (0.115, 23.1), 1250: (0.19, None)}
BUDGETS = tuple(_LPIPS_PSNR)
CODECS = (_OURS, *_RIVALS)
_SAVED = {"0.35": 22, "0.5": 24, "0.7": 26, "1.0": 28, "1.4": 29}
_FILES = {
    "calotype-5000": "Calotype",
    "taesd-decoder-5000": "its file through TAESD's decoder",
    "calotype-2500": "Calotype",
    "recipe-pocket": "recipe of 2022, pocket",
    "recipe-taesd": "recipe of 2022, TAESD",
}


@dataclass(frozen=True)
class Target:
    """One line of the report; ``met`` is None for a figure without a target."""

    group: str
    what: str
    wanted: str
    measured: str
    met: bool | None


class Figures:
    """The figures of each picture by name: ``{picture: {name: value}}``."""

    def __init__(self, pictures: Mapping[str, Mapping[str, float]]) -> None:
        self._pictures = pictures

    def has(self, prefix: str) -> bool:
        """Whether there are pictures, and every one has figures of this beginning."""
        pictures = self._pictures.values()
        return bool(pictures) and all(any(name.startswith(prefix) for name in found) for found in pictures)

    def values(self, name: str) -> NDArray[np.float64]:
        """float64[pictures]."""
        return np.array([found[name] for found in self._pictures.values()])

    def mean(self, name: str) -> float:
        return float(self.values(name).mean())

    def moments(self, encoder: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, standard deviation) of each latent channel over all pictures, float64[4] each."""
        mean = np.array([self.mean(f"{encoder}-mean.{channel}") for channel in range(4)])
        square = np.array([self.mean(f"{encoder}-square.{channel}") for channel in range(4)])
        return mean, np.sqrt(square - mean**2)

    def curve(self, name: str) -> list[tuple[float, float]]:
        """Mean (bytes, LPIPS) at each level of the rate-distortion measurement."""
        return [(self.mean(f"{name}-{at}.bytes"), self.mean(f"{name}-{at}.lpips")) for at in RDO_LEVELS]


def targets(rows: Sequence[Row], figures: Figures) -> list[Target]:
    """Every target that ``rows`` (of ``calotype bench``) and ``figures`` say something about."""
    found: list[Target] = []
    for number, budget in enumerate(_LPIPS_PSNR, 1):
        group = f"{number}. At most {budget:,} bytes"
        if rows:
            found += _files_within(group, budget, rows)
        if figures.has("calotype-5000"):
            found += _second_opinion(group, budget, figures)
    if figures.has("taesd-pocket-finest"):
        found += _ceiling("4. Ceiling", figures)
    if figures.has("rans-"):
        found += _entropy("5. Entropy coding", figures)
    if figures.has("rdo-"):
        found += _rdo("5. Entropy coding", figures)
    if figures.has("pocket-into-taesd"):
        found += _space("6. Same space", figures)
    if figures.has("colour."):
        found += _eye("8. The eye", figures)
    return found


def _at_most(group: str, what: str, limit: float, value: float, form: str = ".4f", unit: str = "") -> Target:
    return Target(group, what, f"≤ {limit:{form}}{unit}", f"{value:{form}}{unit}", value <= limit)


def _at_least(group: str, what: str, limit: float, value: float, form: str = ".2f", unit: str = "") -> Target:
    return Target(group, what, f"≥ {limit:{form}}{unit}", f"{value:{form}}{unit}", value >= limit)


def _files_within(group: str, budget: int, rows: Sequence[Row]) -> list[Target]:
    """Bytes, LPIPS and PSNR at a budget, and at 5,000 bytes the contest with the other codecs."""
    chosen = {(row.codec, row.picture): row for row in rows if row.budget == budget}
    ours = {picture: row for (codec, picture), row in chosen.items() if codec == _OURS}

    def mean(metric: str) -> float:
        return fmean(_figure(row, metric) for row in ours.values())

    size, fits = fmean(row.size for row in ours.values()), sum(row.fits for row in ours.values())
    lpips, psnr = _LPIPS_PSNR[budget]
    wanted, measured = f"≤ {budget:,}, {len(ours)} of {len(ours)}", f"{size:,.0f}, {fits} of {len(ours)}"
    found = [Target(group, "bytes", wanted, measured, fits == len(ours))]
    found.append(_at_most(group, "LPIPS", lpips, mean("lpips")))
    if psnr is not None:
        found.append(_at_least(group, "PSNR", psnr, mean("psnr"), unit=" dB"))
    else:
        found.append(Target(group, "PSNR", "-", f"{mean('psnr'):.2f} dB", None))
    found.append(Target(group, "SSIMULACRA2", "-", f"{mean('ssimulacra2'):.1f}", None))
    for codec in _RIVALS if budget == 5000 else ():
        wins = sum(
            _figure(row, "lpips") < _figure(chosen[codec, picture], "lpips") for picture, row in ours.items()
        )
        what, every = f"LPIPS better than {codec}'s", f"{len(ours)} of {len(ours)}"
        found.append(Target(group, what, every, f"{wins} of {len(ours)}", wins == len(ours)))
    return found


def _figure(row: Row, metric: str) -> float:
    value = row.figures.get(metric)
    if value is None:
        raise ValueError(f"{row.picture}, {row.codec}: there is no figure for {metric}")
    return value


def _second_opinion(group: str, budget: int, figures: Figures) -> list[Target]:
    """What metrics say that had no part in training, and the recipe of 2022 on TAESD's latents."""
    found = []
    metrics = (("SSIMULACRA2", "ssimulacra2", ".1f"), ("feature distance", "features", ".4f"))
    if budget == 5000:
        for title, metric, form in metrics:
            theirs, ours = (
                figures.mean(f"taesd-decoder-5000.{metric}"),
                figures.mean(f"calotype-5000.{metric}"),
            )
            what = f"{title} better than TAESD's decoder on the same integers"
            better, sign = (ours > theirs, ">") if metric == "ssimulacra2" else (ours < theirs, "<")
            found.append(Target(group, what, f"{sign} {theirs:{form}}", f"{ours:{form}}", better))
    if budget == 2500:
        for title, metric, form in (*metrics, ("LPIPS", "lpips", ".4f"), ("PSNR", "psnr", ".2f")):
            compare = _at_least if metric in ("ssimulacra2", "psnr") else _at_most
            theirs, ours = figures.mean(f"recipe-taesd.{metric}"), figures.mean(f"calotype-2500.{metric}")
            found.append(
                compare(group, f"{title} no worse than the recipe of 2022, TAESD", theirs, ours, form)
            )
    return found


def _ceiling(group: str, figures: Figures) -> list[Target]:
    found = []
    for ours, theirs, what, gain in (
        ("taesd-pocket-finest", "taesd-taesd-finest", "TAESD's latents, finest level, pocket's decoder", 0.5),
        ("pocket-pocket-exact", "taesd-taesd-exact", "pocket's encoder and decoder, not quantised", 0.0),
    ):
        lpips, psnr = figures.mean(f"{theirs}.lpips"), figures.mean(f"{theirs}.psnr") + gain
        found.append(_at_most(group, f"{what}: LPIPS", lpips, figures.mean(f"{ours}.lpips")))
        found.append(_at_least(group, f"{what}: PSNR", psnr, figures.mean(f"{ours}.psnr"), unit=" dB"))
    return found


def _entropy(group: str, figures: Figures) -> list[Target]:
    found = []
    for step in ENTROPY_LEVELS:
        saved = 100 * (1 - figures.mean(f"rans-{step}.bytes") / figures.mean(f"order0-{step}.bytes"))
        what = f"step {step}: below order-0 entropy"
        found.append(_at_least(group, what, _SAVED[step], saved, ".1f", " %"))
    return found


def _rdo(group: str, figures: Figures) -> list[Target]:
    rate = bd_rate(figures.curve("rdo"), figures.curve("plain"), lower_is_better=True)
    what, wanted = "rate-distortion optimisation at equal LPIPS: fewer bytes", "≥ 8.0 %"
    if rate is None:
        return [Target(group, what, wanted, "the curves do not meet", False)]
    return [_at_least(group, what, 8, -rate, ".1f", " %")]


def _space(group: str, figures: Figures) -> list[Target]:
    found = []
    for rate, what in (("exact", "not quantised"), ("5000", "5,000 bytes")):
        theirs = figures.mean(f"taesd-into-taesd-{rate}.lpips")
        ours = figures.mean(f"pocket-into-taesd-{rate}.lpips")
        what = f"pocket's latents through TAESD's decoder, {what}: LPIPS"
        found.append(_at_most(group, what, 1.1 * theirs, ours))
    (ours_mean, ours_deviation), (mean, deviation) = figures.moments("pocket"), figures.moments("taesd")
    for channel in range(4):
        offset = (ours_mean - mean)[channel] / deviation[channel]
        excess = 100 * (ours_deviation[channel] / deviation[channel] - 1)
        what, wanted = f"channel {channel}: mean", "within 0.05 σ"
        found.append(Target(group, what, wanted, f"{offset:+.3f} σ", abs(offset) <= 0.05))
        what = f"channel {channel}: deviation"
        found.append(Target(group, what, "within 5 %", f"{excess:+.1f} %", abs(excess) <= 5))
    return found


def _eye(group: str, figures: Figures) -> list[Target]:
    found = []
    for channel, name in (("r", "red"), ("g", "green"), ("b", "blue")):
        values = figures.values(f"colour.{channel}")
        error, worst = float(values.mean()), float(values[np.abs(values).argmax()])
        measured = f"{error:+.2f}/255 (one picture: at most {worst:+.2f})"
        found.append(Target(group, f"mean error of {name}", "within 1/255", measured, abs(error) < 1))
    for period in (2, 4, 8, 16):
        decoded, original = (
            f"{pattern(figures, name, period):.2f}/255, {unevenness(figures, name, period):.2f} %"
            for name in ("decoded", "original")
        )
        found.append(
            Target(group, f"grid of {period} pixels", "-", f"{decoded} (original: {original})", None)
        )
    for kind, what in (
        ("grain", "grain of even areas, standard deviation"),
        ("repeating", "of it repeating every 8 pixels, not quantised"),
    ):
        decoded, original = (_deviation(figures, f"{kind}-{name}") for name in ("decoded", "original"))
        found.append(Target(group, what, "-", f"{decoded:.2f}/255 (original: {original:.2f}/255)", None))
    return found


def _deviation(figures: Figures, name: str) -> float:
    """Of the pixels of all even blocks of 16x16."""
    pixels = 256 * max(figures.values("even.blocks").sum(), 1)
    return float(np.sqrt(figures.values(f"{name}.square").sum() / pixels))


def pattern(figures: Figures, name: str, period: int) -> float:
    """How strong a grid of ``period`` pixels is that lies over every picture, in 1/255."""
    return float(_folded(figures, f"pattern-{name}", period).std())


def unevenness(figures: Figures, name: str, period: int) -> float:
    """How far the gradients at the positions within a period differ, in per cent of their mean.

    A period of 2 cannot show: both of its gradients are the same.
    """
    folded = _folded(figures, f"gradient-{name}", period)
    return float(100 * folded.std() / folded.mean())


def _folded(figures: Figures, name: str, period: int) -> NDArray[np.float64]:
    profile = np.array([figures.mean(f"{name}.{at}") for at in range(PERIOD)])
    return np.asarray(profile.reshape(-1, period).mean(0))


def markdown(found: Iterable[Target]) -> str:
    """The targets as a Markdown table."""
    lines = ["| | wanted | measured | |", "| --- | ---: | ---: | --- |"]
    group = ""
    for one in found:
        if one.group != group:
            group = one.group
            lines.append(f"| **{group}** | | | |")
        verdict = {True: "met", False: "**missed**", None: ""}[one.met]
        lines.append(f"| {one.what} | {one.wanted} | {one.measured} | {verdict} |")
    return "\n".join(lines) + "\n"


def details(figures: Figures) -> str:
    """What lies behind some of the targets, as further Markdown tables."""
    parts = []
    if figures.has("calotype-5000"):
        heads = "| | bytes | PSNR | LPIPS | SSIMULACRA2 | feature distance |\n| --- |" + 5 * " ---: |"
        lines = [
            f"| {title} | {figures.mean(f'{name}.bytes'):,.0f} | {figures.mean(f'{name}.psnr'):.2f} "
            f"| {figures.mean(f'{name}.lpips'):.4f} | {figures.mean(f'{name}.ssimulacra2'):.1f} "
            f"| {figures.mean(f'{name}.features'):.4f} |"
            for name, title in _FILES.items()
        ]
        parts.append("\n".join(["\n## Files", "", heads, *lines]))
    if figures.has("rdo-"):
        heads = "| level | bytes, rounded plainly | LPIPS | bytes, optimised | LPIPS |\n|" + 5 * " ---: |"
        lines = [
            f"| {level} | {plain[0]:,.0f} | {plain[1]:.4f} | {better[0]:,.0f} | {better[1]:.4f} |"
            for level, plain, better in zip(
                RDO_LEVELS, figures.curve("plain"), figures.curve("rdo"), strict=True
            )
        ]
        parts.append("\n".join(["\n## Rate-distortion optimisation", "", heads, *lines]))
    return "\n".join(parts) + "\n" if parts else ""
