"""Every codec's files as Markdown tables: means, and the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.files import METRICS
from benchmarks.ledger import Figures
from benchmarks.scene import CALOTYPE

__all__ = ["TITLES", "files_table", "worst_table"]

TITLES = {
    CALOTYPE: "Calotype",
    "avif": "AVIF",
    "webp": "WebP",
    "jpeg": "JPEG",
    "jxl": "JPEG XL",
    "recipe-2022": "recipe of 2022",
}

_HEADS = {
    "psnr": ("PSNR", ".2f"),
    "lpips_sq": ("LPIPS-Sq", ".4f"),
    "lpips_alex": ("LPIPS-Alex", ".4f"),
    "lpips_vgg": ("LPIPS-VGG", ".4f"),
    "dists": ("DISTS", ".4f"),
    "ssimulacra2": ("SSIMULACRA2", ".1f"),
}
_HIGHER_IS_BETTER = ("psnr", "ssimulacra2")


def files_table(figures: Figures, codecs: Sequence[str], budgets: Sequence[int]) -> str:
    """Returns means over the pictures, by budget and codec. Figures that some pictures lack are left out."""
    heads = " | ".join(title for title, _ in _HEADS.values())
    lines = [
        f"| at most | codec | bytes | within | {heads} |",
        "| ---: | --- |" + (2 + len(METRICS)) * " ---: |",
    ]
    for budget in budgets:
        for codec in codecs:
            name = f"{codec}-{budget}"
            if figures.has(f"{name}.bytes"):
                fits = figures.values(f"{name}.fits")
                cells = [f"{figures.mean(f'{name}.bytes'):,.0f}", f"{int(fits.sum())} of {len(fits)}"]
                cells += [f"{figures.mean(f'{name}.{metric}'):{_HEADS[metric][1]}}" for metric in METRICS]
                lines.append(f"| {budget:,} | {TITLES[codec]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def worst_table(figures: Figures, budgets: Sequence[int]) -> str:
    """Returns Calotype's worst picture by each metric, for each budget."""
    heads = " | ".join(title for title, _ in _HEADS.values())
    lines = [f"| at most | {heads} |", "| ---: |" + len(METRICS) * " ---: |"]
    for budget in budgets:
        if figures.has(f"{CALOTYPE}-{budget}.bytes"):
            cells = []
            for metric in METRICS:
                values = figures.values(f"{CALOTYPE}-{budget}.{metric}")
                worst = int(values.argmin() if metric in _HIGHER_IS_BETTER else values.argmax())
                cells.append(f"{values[worst]:{_HEADS[metric][1]}} ({figures.pictures[worst]})")
            lines.append(f"| {budget:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
