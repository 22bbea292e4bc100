"""Figures of a data set as Markdown, ready for a paper or a README: means, worst cases, BD-rates."""

from __future__ import annotations

from collections.abc import Sequence

from calotype.compare.bd_rate import METHOD, bd_rate
from calotype.compare.codecs import OURS
from calotype.compare.metrics import METRICS
from calotype.compare.plot import mean_curves
from calotype.compare.rows import Row, rows_of_pictures_all_coded
from calotype.compare.tables import mean_rows
from calotype.errors import ModelError

__all__ = ["summary_markdown"]


def summary_markdown(rows: Sequence[Row]) -> str:
    """Returns tables of means and worst cases for each size, and BD-rates of Calotype against each codec."""
    budgets = sorted({row.budget for row in rows}, reverse=True)
    metrics = [name for name in METRICS if any(row.figures.get(name) is not None for row in rows)]
    parts = []
    fair = rows_of_pictures_all_coded(rows)
    if left_out := {row.picture for row in rows} - {row.picture for row in fair}:
        names = ", ".join(sorted(left_out))
        parts.append(f"Means and BD-rates leave out the pictures that some codec cannot code: {names}.\n")
    for budget in budgets:
        chosen = [row for row in fair if row.budget == budget]
        parts.append(f"### At most {budget:,} bytes per 512×512 pixels\n\n{_mean_tables(chosen, metrics)}")
    parts.append(f"### Worst cases\n\n{_worst_cases(rows, budgets, metrics)}")
    parts.append(f"### BD-rate\n\n{_bd_rates(rows, metrics)}")
    return "\n".join(parts)


def _mean_tables(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    heads = ["codec", "bytes", "bpp", "within", *map(_metric_title, metrics)]
    models = list(dict.fromkeys(row.codec for row in rows if row.codec.startswith(OURS)))
    ours = {row.picture: row for row in rows if row.codec in models[:1]}
    compared_metric = "lpips" if "lpips" in metrics else metrics[0]
    if ours:
        name = "Calotype" if len(models) == 1 else models[0]
        heads.append(f"{name} has the better {METRICS[compared_metric].title}")
    lines = []
    for mean in mean_rows(rows):
        chosen = [row for row in rows if row.codec == mean.codec]
        bpp = sum(row.bpp for row in chosen) / len(chosen)
        cells = [
            mean.codec,
            f"{mean.size:,}",
            f"{bpp:.4f}",
            f"{sum(r.fits for r in chosen)} of {len(chosen)}",
        ]
        cells += [_format_figure(name, mean.figures[name]) for name in metrics]
        if ours:
            cells.append("-" if mean.codec == models[0] else _count_wins(ours, chosen, compared_metric))
        lines.append(cells)
    return _markdown_table(heads, lines)


def _count_wins(ours: dict[str, Row], theirs: Sequence[Row], metric: str) -> str:
    pairs = [
        (ours[row.picture].figures.get(metric), row.figures.get(metric))
        for row in theirs
        if row.picture in ours
    ]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    lower = METRICS[metric].lower_is_better
    return f"{sum(a < b if lower else a > b for a, b in known)} of {len(known)}"


def _worst_cases(rows: Sequence[Row], budgets: Sequence[int], metrics: Sequence[str]) -> str:
    lines = []
    for budget in budgets:
        for codec in dict.fromkeys(row.codec for row in rows):
            chosen = [row for row in rows if (row.codec, row.budget) == (codec, budget)]
            if chosen:
                lines.append([f"{budget:,}", codec, *(_worst_of(chosen, name) for name in metrics)])
    return _markdown_table(["at most", "codec", *map(_metric_title, metrics)], lines)


def _worst_of(rows: Sequence[Row], metric: str) -> str:
    known = [(value, row.picture) for row in rows if (value := row.figures.get(metric)) is not None]
    if not known:
        return "-"
    value, picture = max(known) if METRICS[metric].lower_is_better else min(known)
    return f"{_format_figure(metric, value)} ({_markdown_cell(picture)})"


def _bd_rates(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Returns a table of BD-rates; the points of each curve are the means over the data set."""
    points = {name: {curve.codec: curve.points for curve in mean_curves(rows, name)} for name in metrics}
    codecs = list(dict.fromkeys(row.codec for row in rows))
    lines = []
    try:
        for ours in [codec for codec in codecs if codec.startswith(OURS)]:
            for other in [codec for codec in codecs if codec != ours]:
                cells = []
                for name in metrics:
                    pair = points[name].get(ours, ()), points[name].get(other, ())
                    value = bd_rate(*pair, lower_is_better=METRICS[name].lower_is_better)
                    cells.append("-" if value is None else f"{value:+.1f} %")
                lines.append([ours, other, *cells])
    except ModelError as error:
        return f"{error}\n"
    note = (
        f"Bytes of the first codec against the second at equal quality, from the means above, by {METHOD}"
        " interpolation (package `bjontegaard`) over the range of quality that both reach; - where there is"
        " none.\n\n"
    )
    return note + _markdown_table(["codec", "against", *map(_metric_title, metrics)], lines)


def _metric_title(metric: str) -> str:
    return METRICS[metric].title


def _format_figure(metric: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{METRICS[metric].digits}f}"


def _markdown_cell(text: str) -> str:
    """Returns a name as it may stand in a table."""
    return text.replace("|", "\\|")


def _markdown_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; the columns of names are aligned on the left, those of figures on the
    right.
    """
    marks = ["---" if head in ("codec", "against") else "---:" for head in heads]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, marks, *lines)) + "\n"
