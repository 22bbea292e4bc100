"""Plots of the judges against bits per pixel, with published results of other codecs as marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.ledger import Figures
from benchmarks.published import Point
from benchmarks.scene import CALOTYPE
from benchmarks.tables import TITLES

__all__ = ["plot_judges"]

_PANELS = {"lpips_alex": "LPIPS-AlexNet", "dists": "DISTS"}
_COLOURS = {
    CALOTYPE: "#d55e00",
    "avif": "#3a87c8",
    "webp": "#1f9e74",
    "jpeg": "#c05fb0",
    "jxl": "#b8860b",
    "recipe-2022": "#606060",
}
_MARKERS = ("*", "P", "X", "D")  # of published results


def plot_judges(
    path: Path,
    title: str,
    figures: Figures,
    codecs: Sequence[str],
    budgets: Sequence[int],
    side: int,
    published: Sequence[Point],
) -> None:
    """Writes an SVG with a panel for each judge; lower is better.

    ``side`` is that of the square pictures, in pixels. A codec whose smallest file exceeds a budget is
    plotted at its actual rate. ``published`` are results of other codecs on the same pictures.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import ScalarFormatter

    with matplotlib.rc_context({"svg.hashsalt": "calotype", "font.size": 9}):
        drawing, panels = pyplot.subplots(1, len(_PANELS), figsize=(10, 4.2), layout="constrained")
        for panel, (metric, heading) in zip(panels, _PANELS.items(), strict=True):
            for codec in codecs:
                curve = sorted(
                    {
                        (
                            8 * figures.mean(f"{codec}-{budget}.bytes") / side**2,
                            figures.mean(f"{codec}-{budget}.{metric}"),
                        )
                        for budget in budgets
                        if figures.has(f"{codec}-{budget}.bytes")
                    }
                )
                ours = codec == CALOTYPE
                if curve:
                    style = {
                        "color": _COLOURS[codec],
                        "linewidth": 2.4 if ours else 1.2,
                        "zorder": 3 if ours else 2,
                    }
                    panel.plot(
                        *zip(*curve, strict=True), marker="o", markersize=4, label=TITLES[codec], **style
                    )
            for number, name in enumerate(dict.fromkeys(point.codec for point in published)):
                marks = [(point.bpp, getattr(point, metric)) for point in published if point.codec == name]
                style = {"s": 60, "color": "black", "marker": _MARKERS[number % len(_MARKERS)], "zorder": 4}
                panel.scatter(*zip(*marks, strict=True), label=f"{name}, published", **style)
            panel.set(
                xscale="log", xlabel="bits per pixel", title=f"{heading} (lower is better)", ylim=(0, None)
            )
            ticks = [rate for rate in (0.03, 0.05, 0.08, 0.12, 0.16, 0.2) if rate < panel.get_xlim()[1]]
            panel.set_xticks(ticks, minor=False)
            panel.set_xticks([], minor=True)
            panel.xaxis.set_major_formatter(ScalarFormatter())
            panel.grid(alpha=0.3)
        drawing.suptitle(title)
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        drawing.savefig(path, metadata={"Date": None})
        pyplot.close(drawing)
