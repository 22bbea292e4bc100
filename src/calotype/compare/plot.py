"""Rate-distortion curves: a metric against bits per pixel on a logarithmic axis; up is always better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from calotype.compare.canvas import Canvas, PngCanvas, Point, SvgCanvas
from calotype.compare.codecs import OURS
from calotype.compare.metrics import METRICS
from calotype.compare.rows import Row, of_all_codecs

__all__ = ["Curve", "curves", "legend_svg", "plots_png", "plots_svg", "style_of"]

WIDTH, HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 30, 40
# Of middling lightness, to stand out from light and dark paper.
_COLOURS = ("#3a87c8", "#1f9e74", "#c05fb0", "#b8860b", "#808080", "#5f6ad0")
_OUR_COLOURS = ("#d55e00", "#e0952b", "#b5452c")
_CORNERS = (4, 3, 5, 24)  # of the markers, so that curves differ in more than colour


@dataclass(frozen=True)
class Curve:
    """``points``: mean bits per pixel and mean of the metric over the pictures, by falling budget."""

    codec: str
    points: tuple[Point, ...]


def curves(rows: Sequence[Row], metric: str) -> list[Curve]:
    """The curves of a metric, one for each codec that has figures of it, over the pictures that all have.

    A codec that cannot go as low as a budget stands at the rate it really has.
    """
    found = []
    rows = of_all_codecs(rows)
    for codec in dict.fromkeys(row.codec for row in rows):
        points = []
        for budget in sorted({row.budget for row in rows if row.codec == codec}, reverse=True):
            chosen = [row for row in rows if row.codec == codec and row.budget == budget]
            values = [value for row in chosen if (value := row.figures.get(metric)) is not None]
            if values and all(map(math.isfinite, values)):
                points.append((fmean(row.bpp for row in chosen), fmean(values)))
        if points:
            found.append(Curve(codec, tuple(dict.fromkeys(points))))
    return found


def style_of(codec: str, codecs: Sequence[str]) -> tuple[str, int, float]:
    """(colour, corners of the marker, width of the line) of a codec among those of the same plot."""
    ours = codec.startswith(OURS)
    number = [name for name in codecs if name.startswith(OURS) == ours].index(codec)
    palette = _OUR_COLOURS if ours else _COLOURS
    corners = 24 if ours else _CORNERS[number % len(_CORNERS)]
    return palette[number % len(palette)], corners, 3.0 if ours else 1.6


def plots_svg(rows: Sequence[Row]) -> dict[str, str]:
    """One SVG element by the name of each metric that has figures."""
    drawings = {}
    codecs = list(dict.fromkeys(row.codec for row in rows))
    for metric in METRICS:
        if found := curves(rows, metric):
            canvas = SvgCanvas(WIDTH, HEIGHT)
            _panel(canvas, metric, found, codecs, (0, 0))
            drawings[metric] = canvas.finish(
                f"{METRICS[metric].title} against bits per pixel; see the tables"
            )
    return drawings


def legend_svg(codec: str, codecs: Sequence[str]) -> str:
    """The line and marker of a codec."""
    canvas = SvgCanvas(32, 14)
    _curve(canvas, [(2, 7), (30, 7)], style_of(codec, codecs), [(16, 7)])
    return canvas.finish("").replace('role="img" aria-label=""', 'aria-hidden="true" width="32" height="14"')


def plots_png(rows: Sequence[Row], title: str) -> bytes:
    """A PNG file with a panel for each metric that has figures, and a legend."""
    codecs = list(dict.fromkeys(row.codec for row in rows))
    panels = [(metric, found) for metric in METRICS if (found := curves(rows, metric))]
    lines = -(-len(panels) // 2)
    canvas = PngCanvas(2 * WIDTH, 64 + lines * HEIGHT)
    canvas.text((12, 24), title, "ink", 16)
    for number, codec in enumerate(codecs):
        left = 12 + number * (2 * WIDTH - 24) / len(codecs)
        _curve(canvas, [(left, 46), (left + 28, 46)], style_of(codec, codecs), [(left + 14, 46)])
        canvas.text((left + 34, 50), codec, "ink", 11)
    for number, (metric, found) in enumerate(panels):
        _panel(canvas, metric, found, codecs, (number % 2 * WIDTH, 64 + number // 2 * HEIGHT))
    return canvas.finish()


def _panel(canvas: Canvas, name: str, found: Sequence[Curve], codecs: Sequence[str], corner: Point) -> None:
    metric = METRICS[name]
    left, top = corner[0] + _LEFT, corner[1] + _TOP
    right, bottom = corner[0] + WIDTH - _RIGHT, corner[1] + HEIGHT - _BOTTOM
    points = [point for curve in found for point in curve.points]
    x_low, x_high = _span([math.log10(x) for x, _ in points])
    y_low, y_high = _span([y for _, y in points])
    worst, best = (y_high, y_low) if metric.lower_is_better else (y_low, y_high)

    def place(point: Point) -> Point:
        x = (math.log10(point[0]) - x_low) / (x_high - x_low)
        y = (point[1] - worst) / (best - worst)
        return left + x * (right - left), bottom - y * (bottom - top)

    for value in _steps(y_low, y_high):
        y = place((1, value))[1]
        canvas.line([(left, y), (right, y)], "grid", 1)
        canvas.text((left - 6, y + 4), f"{value:g}", "faint", 11, "end")
    for value in _rates(x_low, x_high):
        x = place((value, worst))[0]
        canvas.line([(x, top), (x, bottom)], "grid", 1)
        canvas.text((x, bottom + 16), f"{value:g}", "faint", 11, "middle")
    canvas.text((left, top - 12), _heading(name), "ink", 13)
    canvas.text((right, bottom + 32), "bits per pixel", "faint", 11, "end")
    for curve in reversed(found):  # the first, Calotype, on top
        placed = [place(point) for point in curve.points]
        _curve(canvas, placed, style_of(curve.codec, codecs), placed)


def _heading(name: str) -> str:
    metric = METRICS[name]
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.title}{unit}{' (axis inverted)' if metric.lower_is_better else ''}"


def _curve(
    canvas: Canvas, points: Sequence[Point], style: tuple[str, int, float], marks: Sequence[Point]
) -> None:
    colour, corners, width = style
    if len(points) > 1:
        canvas.line(points, colour, width)
    radius = 3 + width / 2 if corners < 24 else 2 + width / 2
    for x, y in marks:
        turns = [2 * math.pi * (k + 0.5) / corners - math.pi / 2 for k in range(corners)]
        canvas.shape([(x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns], colour)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The range of ``values`` and some room at both ends."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _steps(low: float, high: float) -> list[float]:
    """About five round values from ``low`` to ``high``."""
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step) + 1)]


def _rates(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between 10**low and 10**high."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    values = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    return [round(value, 10) for value in values if low <= math.log10(value) <= high]
