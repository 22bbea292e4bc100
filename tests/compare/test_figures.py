"""Rows, curves, tables and BD-rates."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from calotype.compare.bd_rate import bd_rate
from calotype.compare.plot import curve_style, legend_svg, mean_curves, plots_png, plots_svg
from calotype.compare.rows import (
    COLUMNS,
    Row,
    read_rows,
    rows_of_pictures_all_coded,
    rows_to_csv,
    rows_to_json,
)
from calotype.compare.summary import summary_markdown
from calotype.compare.tables import figures_table, formatted_figure, mean_rows
from calotype.errors import ModelError, SourceError

ROW = Row("a", "calotype-pocket", 5000, 4990, True, 512, 512, {"psnr": 24.5, "ms_ssim": None, "lpips": 0.1})
ROWS = [
    ROW,
    replace(ROW, picture="b", size=5000, figures={"psnr": 22.5, "lpips": 0.2}),
    replace(ROW, codec="avif", size=4000, figures={"psnr": 26.5, "lpips": 0.3}),
    replace(ROW, codec="avif", picture="b", size=6000, fits=False, figures={"psnr": 20.0, "lpips": 0.1}),
    replace(ROW, budget=2500, size=2490, figures={"psnr": 20.5, "lpips": 0.3}),
    replace(ROW, budget=2500, picture="b", size=2500, figures={"psnr": 20.5, "lpips": 0.3}),
]
TITLES = {"calotype-pocket": "Calotype pocket", "avif": "AVIF"}


def test_bpp_and_ratio_count_the_whole_file() -> None:
    assert ROW.bpp == pytest.approx(8 * 4990 / 512**2)
    assert ROW.ratio == pytest.approx(3 * 512**2 / 4990)


def test_figures_survive_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(rows_to_csv(ROWS))
    assert (tmp_path / "rows.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert [row.as_dict() for row in read_rows(tmp_path / "rows.csv")] == [row.as_dict() for row in ROWS]


def test_a_line_cut_short_is_left_out_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(rows_to_csv(ROWS)[:-9])
    assert len(read_rows(path)) == len(ROWS) - 1
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="not a table of figures"):
        read_rows(path)
    path.write_text(rows_to_csv(ROWS).replace("4990", "many"))
    with pytest.raises(SourceError, match="damaged at line 2"):
        read_rows(path)


def test_json_has_no_infinity() -> None:
    text = rows_to_json([replace(ROW, figures={"psnr": math.inf})], missing={"lpips": "why"})
    figures = json.loads(text, parse_constant=pytest.fail)
    assert figures["missing"] == {"lpips": "why"}
    assert figures["rows"][0]["psnr"] is None and figures["rows"][0]["bytes"] == 4990


def test_curves_are_means_at_the_rates_that_were_reached() -> None:
    ours, avif = mean_curves(ROWS, "psnr")
    assert [y for _, y in ours.points] == [23.5, 20.5]
    assert avif.points == ((pytest.approx(8 * 5000 / 512**2), 23.25),)
    assert mean_curves(ROWS, "ms_ssim") == []


def test_better_is_up_in_every_plot() -> None:
    drawings = plots_svg(ROWS)
    assert set(drawings) == {"psnr", "lpips"}
    colour = curve_style("calotype-pocket", list(TITLES))[0]
    for drawing in drawings.values():
        ElementTree.fromstring(drawing)
        ((path,),) = [re.findall(rf'<path d="([^"]+)"[^>]+fill: none; stroke: {colour}', drawing)]
        (x1, y1), (x2, y2) = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path)]
        assert x1 > x2 and y1 < y2  # more bytes: to the right and, for both metrics, higher


def test_plots_are_parts_of_one_page() -> None:
    parts = [*plots_svg(ROWS).values(), *(legend_svg(codec, list(TITLES)) for codec in TITLES)]
    assert parts == [*plots_svg(ROWS).values(), *(legend_svg(codec, list(TITLES)) for codec in TITLES)]
    names = [name for part in parts for name in re.findall(r'\bid="([^"]+)"', part)]
    assert len(names) == len(set(names))
    for part in parts:
        assert set(re.findall(r"url\(#([^)]+)\)", part)) <= set(names)
        assert (
            "href" not in part
            and "xmlns" not in part
            and "<style" not in part
            and "font-family:" not in part
            and "<metadata" not in part
        )
    assert 'role="img" aria-label="PSNR against bits per pixel; see the tables"' in parts[0]
    assert "bits per pixel</text>" in parts[0]  # text that can be read aloud and searched
    assert "var(--faint, #" in parts[0] and "var(--grid, #" in parts[0]


def test_a_users_settings_do_not_change_a_plot_nor_the_other_way_round() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = plots_svg(ROWS), plots_png(ROWS, "title")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        assert (plots_svg(ROWS), plots_png(ROWS, "title")) == expected
        assert matplotlib.rcParams["lines.linewidth"] == 9


def test_curves_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: plots_svg(ROWS),
        lambda: plots_png(ROWS, "title"),
        lambda: legend_svg("avif", list(TITLES)),
    ):
        with pytest.raises(ModelError, match=r"calotype\[compare\]"):
            draw()


def test_png_of_the_curves_shows_every_codec(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(plots_png(ROWS, "two pictures"))
    with Image.open(tmp_path / "curves.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    for codec in TITLES:
        wanted = bytes.fromhex(curve_style(codec, list(TITLES))[0][1:])
        assert (pixels == list(wanted)).all(-1).sum() > 50


def test_figures_are_formatted_for_reading() -> None:
    assert formatted_figure("psnr", 24.5) == "24.50 dB"
    assert formatted_figure("ssimulacra2", -28.66) == "\N{MINUS SIGN}28.7"
    assert formatted_figure("lpips", None) == "–"
    assert formatted_figure("psnr", math.inf) == "∞"


def test_table_marks_the_best_within_the_size_and_says_why_columns_are_empty() -> None:
    rows = [row for row in ROWS if row.picture == "b"]
    html = figures_table("b <1>", rows, TITLES, {"ssimulacra2": "needs a package"})
    assert "b &lt;1&gt;" in html and "needs a package" in html and "too small" in html
    assert '<span class="best">0.2000</span>' in html  # AVIF has 0.1, but not within the size
    assert html.count("its smallest") == 1


def test_a_row_of_means_has_bytes_fit_and_figures() -> None:
    ours, avif, _ = mean_rows(ROWS)
    assert (ours.size, ours.fits, ours.figures["psnr"]) == (4995, True, 23.5)
    assert (avif.size, avif.fits, avif.figures["lpips"]) == (5000, False, 0.2)


def test_half_the_bytes_are_a_bd_rate_of_minus_50() -> None:
    pytest.importorskip("bjontegaard")
    anchor = [(0.1, 20.0), (0.2, 24.0), (0.4, 27.0), (0.8, 29.0)]
    half = [(rate / 2, value) for rate, value in anchor]
    assert bd_rate(half, anchor) == pytest.approx(-50)
    assert bd_rate(anchor, half) == pytest.approx(100)
    falling = [[(rate, -value) for rate, value in curve] for curve in (half, anchor)]
    assert bd_rate(*falling, lower_is_better=True) == pytest.approx(-50)


def test_no_bd_rate_without_a_quality_that_both_reach() -> None:
    pytest.importorskip("bjontegaard")
    low, high = [(0.1, 20.0), (0.2, 24.0)], [(0.1, 25.0), (0.2, 29.0)]
    assert bd_rate(low, high) is None
    assert bd_rate(low[:1], low) is None
    assert bd_rate([(0.1, 20.0), (0.2, 19.0)], low) is None  # no better for more bytes


def test_several_models_stand_side_by_side() -> None:
    rows = [*ROWS, *(replace(row, codec="calotype-taesd") for row in ROWS[:2])]
    rows[-1] = replace(rows[-1], figures={"psnr": 22.0, "lpips": 0.3})
    lines = summary_markdown(rows).splitlines()
    assert "calotype-pocket has the better LPIPS" in lines[2]
    assert "| calotype-taesd | 4,995 | 0.1524 | 2 of 2 | 23.25 | 0.2000 | 1 of 2 |" in lines
    assert "| calotype-taesd | avif | - | - |" in lines
    codecs = ["calotype-pocket", "calotype-taesd", "avif"]
    assert len({curve_style(codec, codecs) for codec in codecs}) == 3
    table = figures_table("a", rows, TITLES | {"calotype-taesd": "Calotype taesd"}, {})
    assert table.count('<tr class="ours">') == 6


def test_summary_holds_means_wins_worst_cases_and_the_method() -> None:
    pytest.importorskip("bjontegaard")
    lines = summary_markdown(ROWS).splitlines()
    assert "| calotype-pocket | 4,995 | 0.1524 | 2 of 2 | 23.50 | 0.1500 | - |" in lines
    assert "| avif | 5,000 | 0.1526 | 1 of 2 | 23.25 | 0.2000 | 1 of 2 |" in lines
    assert "| 5,000 | avif | 20.00 (b) | 0.3000 (a) |" in lines
    assert any("PCHIP" in line for line in lines)
    assert "| calotype-pocket | avif | - | - |" in lines


def test_names_of_pictures_come_back_whatever_they_hold(tmp_path: Path) -> None:
    names = ['a "b", c', "line\u2028separator", "form\x0cfeed", "next\x85line", "new\nline"]
    rows = [replace(ROW, picture=name) for name in names]
    (tmp_path / "rows.csv").write_text(rows_to_csv(rows), "utf-8")
    assert [row.picture for row in read_rows(tmp_path / "rows.csv")] == names


def test_a_table_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(rows_to_csv(ROWS).encode() + b"caf\xe9\n")
    with pytest.raises(SourceError, match="is damaged"):
        read_rows(tmp_path / "rows.csv")


def test_means_are_over_the_pictures_that_every_codec_can_code() -> None:
    rows = [row for row in ROWS if (row.codec, row.picture) != ("avif", "b")]
    assert {row.picture for row in rows_of_pictures_all_coded(rows)} == {"a"}
    assert [mean.figures["psnr"] for mean in mean_rows(rows)] == [24.5, 26.5, 20.5]
    assert [curve.points[0][1] for curve in mean_curves(rows, "psnr")] == [24.5, 26.5]
    assert "leave out the pictures that some codec cannot code: b.\n" in summary_markdown(rows)
    assert "leave out" not in summary_markdown(ROWS)


def test_names_do_not_break_tables() -> None:
    rows = [replace(row, picture="a|b") for row in ROWS if row.picture == "a"]
    assert "(a\\|b)" in summary_markdown(rows)
