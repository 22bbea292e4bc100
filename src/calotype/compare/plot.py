"""Rate-distortion curves: a metric against bits per pixel on a logarithmic axis, with better values on top.

matplotlib draws them. The SVG is for a page: its text and lines have the colours of the page's theme, and its
ids are unique in the page. A drawing does not depend on the user's ``matplotlibrc``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib import import_module
from io import BytesIO, StringIO
from statistics import fmean
from typing import Any

from calotype.compare.codecs import OURS
from calotype.compare.metrics import METRICS
from calotype.compare.rows import Row, rows_of_pictures_all_coded
from calotype.errors import ModelError

__all__ = ["Curve", "Point", "curve_style", "legend_svg", "mean_curves", "plots_png", "plots_svg"]

Point = tuple[float, float]

WIDTH, HEIGHT = 420, 300
"""The size of a panel in CSS pixels."""

_LEGEND_COLUMNS = 6
_DPI = 96  # CSS pixels per inch
_POINT = 72 / _DPI  # Points, the unit of lines and letters in matplotlib, per CSS pixel.
_THEME = {
    "ink": "#26221c",
    "faint": "#6b6459",
    "grid": "#dcd5c8",
}  # The keys are the CSS variables of the page.
# Of medium lightness, so that they are visible on light and on dark backgrounds.
_COLOURS = ("#3a87c8", "#1f9e74", "#c05fb0", "#b8860b", "#808080", "#5f6ad0")
_OUR_COLOURS = ("#d55e00", "#e0952b", "#b5452c")
_MARKERS = ("s", "^", "p", "o")  # Curves differ in more than colour.

_SETTINGS = {
    "svg.fonttype": "none",  # Letters remain text, in the page's font.
    "svg.hashsalt": "calotype",
    "font.size": 11 * _POINT,
    "text.color": _THEME["ink"],
    "axes.edgecolor": _THEME["grid"],
    "axes.labelcolor": _THEME["faint"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.06,
    "axes.ymargin": 0.06,
    "axes.titlelocation": "left",
    "axes.titlesize": 13 * _POINT,
    "axes.formatter.useoffset": False,
    "grid.color": _THEME["grid"],
    "grid.linewidth": _POINT,
    "xtick.color": _THEME["grid"],
    "ytick.color": _THEME["grid"],
    "xtick.labelcolor": _THEME["faint"],
    "ytick.labelcolor": _THEME["faint"],
    "xtick.bottom": False,
    "ytick.left": False,
    "lines.solid_joinstyle": "round",
}


@dataclass(frozen=True)
class Curve:
    """The curve of a codec: ``points`` are (mean bits per pixel, mean of the metric), by falling budget."""

    codec: str
    points: tuple[Point, ...]


def mean_curves(rows: Sequence[Row], metric: str) -> list[Curve]:
    """Returns one curve of a metric for each codec that has its figures, over the pictures that all of them
    have.

    A codec whose smallest file exceeds a budget is plotted at its actual rate.
    """
    result = []
    rows = rows_of_pictures_all_coded(rows)
    for codec in dict.fromkeys(row.codec for row in rows):
        points = []
        for budget in sorted({row.budget for row in rows if row.codec == codec}, reverse=True):
            chosen = [row for row in rows if row.codec == codec and row.budget == budget]
            values = [value for row in chosen if (value := row.figures.get(metric)) is not None]
            if values and all(map(math.isfinite, values)):
                points.append((fmean(row.bpp for row in chosen), fmean(values)))
        if points:
            result.append(Curve(codec, tuple(dict.fromkeys(points))))
    return result


def curve_style(codec: str, codecs: Sequence[str]) -> tuple[str, str, float]:
    """Returns (colour, matplotlib's marker, width of the line) of a codec among those of the same plot."""
    ours = codec.startswith(OURS)
    number = [name for name in codecs if name.startswith(OURS) == ours].index(codec)
    palette = _OUR_COLOURS if ours else _COLOURS
    marker = "o" if ours else _MARKERS[number % len(_MARKERS)]
    return palette[number % len(palette)], marker, 3.0 if ours else 1.6


def plots_svg(rows: Sequence[Row]) -> dict[str, str]:
    """Returns one SVG element by the name of each metric that has figures.

    Raises :class:`ModelError` without the package ``matplotlib``.
    """
    drawings = {}
    codecs = list(dict.fromkeys(row.codec for row in rows))
    with _matplotlib():
        for metric in METRICS:
            if metric_curves := mean_curves(rows, metric):
                figure = _new_figure(WIDTH, HEIGHT)
                _draw_panel(figure.add_subplot(), metric, metric_curves, codecs)
                label = f"{METRICS[metric].title} against bits per pixel; see the tables"
                drawings[metric] = _figure_as_svg(
                    figure, f"plot-{metric}", f'role="img" aria-label="{escape(label)}"'
                )
    return drawings


def legend_svg(codec: str, codecs: Sequence[str]) -> str:
    """Returns the line and marker of a codec. Raises :class:`ModelError` without the package
    ``matplotlib``.
    """
    with _matplotlib():
        figure = _new_figure(32, 14, layout=None)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(-1, 1), ylim=(-1, 1))
        _draw_curve(axes, [(-0.9, 0), (0, 0), (0.9, 0)], curve_style(codec, codecs), markevery=[1])
        return _figure_as_svg(figure, f"legend-{codec}", 'aria-hidden="true" width="32" height="14"')


def plots_png(rows: Sequence[Row], title: str) -> bytes:
    """Returns a PNG file with a panel for each metric that has figures, and a legend.

    Raises :class:`ModelError` without the package ``matplotlib``.
    """
    codecs = list(dict.fromkeys(row.codec for row in rows))
    panels = [(metric, metric_curves) for metric in METRICS if (metric_curves := mean_curves(rows, metric))]
    lines = max(-(-len(panels) // 2), 1)
    file = BytesIO()
    with _matplotlib():
        figure = _new_figure(2 * WIDTH, 64 + lines * HEIGHT)
        for number, (metric, metric_curves) in enumerate(panels, 1):
            _draw_panel(figure.add_subplot(lines, 2, number), metric, metric_curves, codecs)
        handles = [_draw_curve(None, [], curve_style(codec, codecs)) for codec in codecs]
        figure.legend(
            handles,
            codecs,
            loc="outside upper left",
            ncols=min(len(codecs), _LEGEND_COLUMNS),
            title=title,
            title_fontsize=16 * _POINT,
            alignment="left",
            frameon=False,
        )
        figure.savefig(file, format="png", dpi=2 * _DPI, metadata={"Software": None})
    return file.getvalue()


@contextmanager
def _matplotlib() -> Iterator[None]:
    """Within the block, matplotlib has the settings of this module and no others."""
    try:
        matplotlib = import_module("matplotlib")
    except ImportError as error:
        raise ModelError("curves need a package: pip install 'calotype[compare]'") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def _new_figure(width: float, height: float, layout: str | None = "constrained") -> Any:
    """Returns a figure of that size in CSS pixels, which belongs to no window and no global state."""
    size = width / _DPI, height / _DPI
    return import_module("matplotlib.figure").Figure(size, dpi=_DPI, layout=layout)


def _draw_panel(axes: Any, name: str, curves_of_metric: Sequence[Curve], codecs: Sequence[str]) -> None:
    metric, ticker = METRICS[name], import_module("matplotlib.ticker")
    for curve in reversed(curves_of_metric):  # The first codec, Calotype, is drawn last.
        _draw_curve(axes, curve.points, curve_style(curve.codec, codecs))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    if metric.lower_is_better:
        axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("bits per pixel", loc="right")
    unit = f", {metric.unit}" if metric.unit else ""
    axes.set_title(f"{metric.title}{unit}{' (axis inverted)' if metric.lower_is_better else ''}")


def _draw_curve(axes: Any, points: Sequence[Point], style: tuple[str, str, float], **more: Any) -> Any:
    """Draws a line through ``points``, with a marker at each, on ``axes`` if there are any."""
    colour, marker, width = style
    radius = 3 + width / 2 if marker != "o" else 2 + width / 2
    lines = import_module("matplotlib.lines")
    line = lines.Line2D(
        [x for x, _ in points],
        [y for _, y in points],
        color=colour,
        linewidth=width * _POINT,
        marker=marker,
        markersize=2 * radius * _POINT,
        markeredgewidth=0,
        **more,
    )
    if axes is not None:
        axes.add_line(line)
        axes.autoscale_view()
    return line


def _figure_as_svg(figure: Any, name: str, attributes: str) -> str:
    """Returns ``figure`` as an element with ``attributes``, for a page in which ``name`` is used once."""
    file = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    (box,) = re.findall(r'viewBox="[^"]+"', text)
    body = text[text.index('<g id="figure_1">') : text.rindex("</svg>")]
    body = re.sub(r'(\bid="|url\(#)', rf"\g<1>{name}-", _without_references(body))
    body = re.sub(r"font: (?:\w+ )*([\d.]+px)[^;\"]*|font-family: [^;\"]*;? ?", _font_size_only, body)
    for variable, colour in _THEME.items():
        body = body.replace(colour, f"var(--{variable}, {colour})")
    return f'<svg {box} {attributes} font-family="inherit" stroke-linejoin="round">{body}</svg>'


def _without_references(body: str) -> str:
    """Returns SVG in which each marker is drawn at its place, instead of a reference to one drawing."""
    shapes = dict(re.findall(r'<path id="([^"]+)" d="([^"]+)"', body))
    body = re.sub(r"<defs>\s*<path id=.*?</defs>", "", body, flags=re.DOTALL)
    return re.sub(
        r'<use xlink:href="#([^"]+)" x="([^"]+)" y="([^"]+)"',
        lambda use: f'<path d="{shapes[use[1]]}" transform="translate({use[2]} {use[3]})"',
        body,
    )


def _font_size_only(font: re.Match[str]) -> str:
    """Removes the family from a CSS font, so that the page's family is used."""
    return f"font-size: {font[1]}" if font[1] else ""
