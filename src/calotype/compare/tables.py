"""Figures as HTML tables: sortable, with the best of each size in bold and reasons for missing figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean

from calotype.compare.codecs import OURS
from calotype.compare.metrics import METRICS
from calotype.compare.rows import Row, rows_of_pictures_all_coded

__all__ = ["figures_table", "formatted_figure", "mean_rows"]

_HEADS = ("codec", "asked for", "bytes", "ratio", "bpp")


def formatted_figure(metric: str, value: float | None) -> str:
    """Formats a figure with its unit, for people; a dash stands for None."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    kind = METRICS[metric]
    return f"{value:.{kind.digits}f} {kind.unit}".rstrip().replace("-", "\N{MINUS SIGN}")


def figures_table(
    caption: str, rows: Sequence[Row], titles: Mapping[str, str], missing: Mapping[str, str]
) -> str:
    """Returns one line for each row; ``missing`` gives the reason for each metric without figures."""
    rows = sorted(rows, key=lambda row: -row.budget)
    best = {
        (budget, metric): _best_figure(metric, [row for row in rows if row.budget == budget and row.fits])
        for budget in {row.budget for row in rows}
        for metric in METRICS
    }
    heads = [_table_head(name) for name in _HEADS]
    heads += [
        _table_head(METRICS[metric].title, _why_metric_is_missing(metric, rows, missing))
        for metric in METRICS
    ]
    lines = []
    for row in rows:
        cells = [
            f'<th scope="row" data-value="{escape(titles[row.codec])}">{escape(titles[row.codec])}</th>',
            _table_cell(row.budget, f"{row.budget:,}"),
            _table_cell(row.size, f"{row.size:,}", "" if row.fits else "its smallest"),
            _table_cell(row.ratio, f"{row.ratio:.0f} : 1"),
            _table_cell(row.bpp, f"{row.bpp:.3f}"),
        ]
        for metric in METRICS:
            value = row.figures.get(metric)
            shown = formatted_figure(metric, value)
            if value is not None and value == best[row.budget, metric]:
                shown = f'<span class="best">{shown}</span>'
            cells.append(_table_cell(value, shown))
        ours = ' class="ours"' if row.codec.startswith(OURS) else ""
        lines.append(f"<tr{ours}>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="sortable"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns one row of means over the pictures for each codec and budget; a row fits if all of its pictures
    fit.

    Pictures that one of the codecs could not code are left out.
    """
    result = []
    rows = rows_of_pictures_all_coded(rows)
    for codec, budget in dict.fromkeys((row.codec, row.budget) for row in rows):
        chosen = [row for row in rows if (row.codec, row.budget) == (codec, budget)]
        figures: dict[str, float | None] = {}
        for metric in METRICS:
            values = [value for row in chosen if (value := row.figures.get(metric)) is not None]
            figures[metric] = fmean(values) if len(values) == len(chosen) else None
        size, width, height = (
            round(fmean(values))
            for values in zip(*((r.size, r.width, r.height) for r in chosen), strict=True)
        )
        fits = all(row.fits for row in chosen)
        result.append(Row("mean", codec, budget, size, fits, width, height, figures))
    return result


def _best_figure(metric: str, rows: Sequence[Row]) -> float | None:
    values = [value for row in rows if (value := row.figures.get(metric)) is not None]
    if not values:
        return None
    return min(values) if METRICS[metric].lower_is_better else max(values)


def _why_metric_is_missing(metric: str, rows: Sequence[Row], missing: Mapping[str, str]) -> str:
    if metric in missing:
        return missing[metric]
    empty = all(row.figures.get(metric) is None for row in rows)
    return "the picture is too small or too large for it" if empty else ""


def _table_head(text: str, why: str = "") -> str:
    remark = f'<span class="why">{escape(why)}</span>' if why else ""
    return f'<th scope="col"><button type="button">{escape(text)}</button>{remark}</th>'


def _table_cell(value: float | None, shown: str, badge: str = "") -> str:
    remark = f'<span class="badge">{badge}</span>' if badge else ""
    return f'<td data-value="{"" if value is None else value}">{remark}{shown}</td>'
