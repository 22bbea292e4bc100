"""The results of an experiment: a table as text, CSV and JSON, PNG files and a contact sheet."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calotype.compare.folder import fresh_folder, to_png
from calotype.compare.metrics import METRICS
from calotype.experiments.palette import Experiment, Result

__all__ = ["SHEET", "contact_sheet", "experiment_rows", "experiment_table", "write_results"]

SHEET = "sheet.png"

_COLUMNS, _GAP, _CAPTION, _LARGEST = 4, 12, 40, 512


def experiment_rows(experiment: Experiment) -> list[dict[str, Any]]:
    """Returns one record for each stage: name, title, bytes, bits per pixel and a figure or None for each
    metric.
    """
    height, width = experiment.original.shape[:2]
    return [
        {
            "stage": result.name,
            "title": result.title,
            "bytes": result.size,
            "bpp": round(8 * result.size / (height * width), 4),
            **{metric: _finite_figure(result.figures.get(metric)) for metric in METRICS},
        }
        for result in experiment.results
    ]


def experiment_table(experiment: Experiment) -> str:
    """Returns the figures as a text table, and below it the reasons for metrics without figures."""
    lines = [["stage", "bytes", *(kind.title for kind in METRICS.values())]]
    for result in experiment.results:
        lines.append(
            [result.title, f"{result.size:,}", *(_format_figure(result, metric) for metric in METRICS)]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for title, *cells in lines:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        text.append("  ".join([title.ljust(widths[0]), *aligned]))
    text += [f"{METRICS[metric].title}: {why}" for metric, why in experiment.missing.items()]
    return "\n".join(text)


def write_results(experiment: Experiment, folder: Path, *, force: bool = False) -> None:
    """Fills ``folder``: ``figures.csv``, ``figures.json``, ``sheet.png``, ``recipe.calo``, each stage as PNG.

    The folder appears when it is complete. An earlier experiment is replaced with ``force`` only. Raises
    :class:`OutputError`.
    """
    records = experiment_rows(experiment)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    with fresh_folder(folder, force=force, mark=SHEET) as work:
        (work / "figures.csv").write_text(text.getvalue(), "utf-8")
        content = {"model": experiment.model, "stages": records, "missing": dict(experiment.missing)}
        (work / "figures.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        (work / "recipe.calo").write_bytes(experiment.file)
        (work / "original.png").write_bytes(to_png(experiment.original))
        for result in experiment.results:
            (work / f"{result.name}.png").write_bytes(to_png(result.rgb))
        (work / SHEET).write_bytes(to_png(contact_sheet(experiment)))


def contact_sheet(experiment: Experiment) -> NDArray[np.uint8]:
    """Returns the original and every stage, labelled, four in a row: uint8[H, W, 3]."""
    height, width = experiment.original.shape[:2]
    shrink = min(1.0, _LARGEST / max(height, width))
    across, down = max(round(width * shrink), 160), round(height * shrink)
    entries = [("original", experiment.original)] + [
        (_result_label(result), result.rgb) for result in experiment.results
    ]
    lines = -(-len(entries) // _COLUMNS)
    size = _COLUMNS * (across + _GAP) + _GAP, lines * (down + _CAPTION + _GAP) + _GAP
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, (label, rgb) in enumerate(entries):
        row, column = divmod(index, _COLUMNS)
        left, top = _GAP + column * (across + _GAP), _GAP + row * (down + _CAPTION + _GAP)
        draw.multiline_text((left, top), label, "black", font, spacing=3)
        picture = Image.fromarray(rgb)
        if shrink < 1:
            picture = picture.resize((round(width * shrink), down), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left, top + _CAPTION))
    return np.asarray(sheet)


def _result_label(result: Result) -> str:
    figures = [
        f"{METRICS[m].title} {_format_figure(result, m)}" for m in ("psnr", "lpips") if m in result.figures
    ]
    return "\n".join([result.title, ", ".join([f"{result.size:,} bytes", *figures])])


def _format_figure(result: Result, metric: str) -> str:
    value = result.figures.get(metric)
    return "-" if value is None else f"{value:.{METRICS[metric].digits}f}"


def _finite_figure(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else round(value, 6)
