"""The report: pictures to compare, tables and curves on one page, and the same figures as CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

import calotype
from calotype.browser import embedded_scripts, is_built
from calotype.compare.contest import DEFAULT_SIZES, Contest, Rules, read_pixels
from calotype.compare.folder import INDEX, PageFiles, file_name, fresh_folder, shown_name
from calotype.compare.metrics import METRICS
from calotype.compare.page import build_page, fill_template
from calotype.compare.plot import legend_svg, plots_svg
from calotype.compare.rows import Row, rows_of_pictures_all_coded, rows_to_csv, rows_to_json
from calotype.compare.subject import ReportSubject
from calotype.compare.tables import figures_table, mean_rows
from calotype.errors import CalotypeError, LimitError, ModelError, SourceError
from calotype.limits import Limits

__all__ = ["render_report", "write_report"]

_LINKS = 'The same as <a href="figures.csv">CSV</a> and <a href="figures.json">JSON</a>.'
_NETWORK = "pocket"
_OPENER = '<label class="button">Open a .calo file<input type="file" accept=".calo" data-open></label>'
_VIEWS = {"divider": "Divider", "grid": "Side by side", "difference": "Difference"}


def write_report(
    photos: Sequence[Path],
    out: Path,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rules: Rules | None = None,
    limits: Limits | None = None,
    embed: bool = False,
    decoder: bool = True,
    force: bool = False,
    progress: Callable[[], None] = lambda: None,
    failed: Callable[[Path, CalotypeError], None] | None = None,
) -> list[Row]:
    """Compares codecs on ``photos``, each within ``sizes`` (bytes of the whole file), and writes a folder.

    ``out/index.html`` shows the pictures beside it; with ``embed`` it contains them. ``figures.csv`` and
    ``figures.json`` have its figures, and every coded file lies beside its decoded picture. With ``decoder``
    the browser's decoder lies beside the page, which then opens .calo files; not with ``embed``, nor in a
    checkout without ``make web``. ``progress`` is called after each photo. ``failed`` is called for a photo
    that cannot be read, which is left out; an error is raised if it is None, or if no photo can be read.
    Raises :class:`SourceError`, :class:`LimitError`, :class:`ModelError`, :class:`OutputError`; no incomplete
    output is left.
    """
    contest = Contest(rules or Rules())
    named = _photos_by_report_name(photos)
    decoder = decoder and not embed and is_built()
    with fresh_folder(out, force=force) as folder:
        page, rows = render_report(
            _readable_photos(named, limits, failed),
            contest,
            sizes,
            PageFiles(folder, embed=embed),
            links=_LINKS,
            decoder=decoder,
            progress=progress,
            failed=failed and (lambda name, error: failed(named[name], error)),
        )
        (folder / "figures.csv").write_text(rows_to_csv(rows), "utf-8")
        (folder / "figures.json").write_text(rows_to_json(rows, missing=contest.missing), "utf-8")
        if decoder:
            (folder / "decoder").mkdir()
            for name, script in embedded_scripts(_NETWORK).items():
                (folder / "decoder" / name).write_text(script, "utf-8")
        (folder / INDEX).write_text(page, "utf-8")
    return rows


def _photos_by_report_name(photos: Sequence[Path]) -> dict[str, Path]:
    """Returns ``photos`` by their names in the report; of equal names, the later ones are numbered."""
    named: dict[str, Path] = {}
    for photo in photos:
        name = stem = shown_name(photo.stem)
        number = 1
        while name in named:
            number += 1
            name = f"{stem} ({number})"
        named[name] = photo
    return named


def _readable_photos(
    photos: Mapping[str, Path],
    limits: Limits | None,
    failed: Callable[[Path, CalotypeError], None] | None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Returns the name and pixels of every photo that can be read."""
    for name, photo in photos.items():
        try:
            rgb = read_pixels(photo, limits)
        except (SourceError, LimitError) as error:
            if failed is None:
                raise
            failed(photo, error)
        else:
            yield name, rgb


def render_report(
    photos: Iterable[tuple[str, NDArray[np.uint8]]],
    contest: Contest,
    sizes: Sequence[int],
    pictures: PageFiles,
    *,
    links: str = "",
    decoder: bool = False,
    progress: Callable[[], None] = lambda: None,
    failed: Callable[[str, CalotypeError], None] | None = None,
) -> tuple[str, list[Row]]:
    """Returns (the page, its figures) of named photos, uint8[H, W, 3]; ``links`` is HTML with links to other
    files; ``decoder`` says whether the browser's decoder lies beside the page.

    ``failed`` is called for a photo that no codec can code, which is left out (if None, an error is raised).
    Raises :class:`ModelError` if no codec can run, :class:`SourceError` if no photo is left.
    """
    sizes = sorted(set(sizes), reverse=True)
    subjects: list[ReportSubject] = []
    titles: dict[str, str] = {}
    for number, (name, rgb) in enumerate(photos, 1):
        place = f"pictures/{number:02}-{file_name(name)}"
        entries = list(contest.enter(name, rgb, sizes))
        why = {codec: why for (picture, codec), why in contest.failed.items() if picture == name}
        if not contest.codecs:
            raise ModelError("; ".join(contest.missing.values()))
        if not entries:
            error = SourceError("; ".join(why.values()))
            if failed is None:
                raise error
            failed(name, error)
            continue
        subjects.append(ReportSubject(name, rgb, place, pictures, sizes, entries, why, contest.fidelity))
        titles |= {entry.row.codec: entry.title for entry in entries}
        progress()
    if not subjects:
        raise SourceError("there is no picture left to compare")
    return _report_page(subjects, titles, contest.missing, sizes, links, decoder), [
        row for subject in subjects for row in subject.rows
    ]


def _report_page(
    subjects: Sequence[ReportSubject],
    titles: dict[str, str],
    missing: dict[str, str],
    sizes: Sequence[int],
    links: str,
    decoder: bool,
) -> str:
    rows = [row for subject in subjects for row in subject.rows]
    data = {
        "pictures": [
            {
                "ratio": subject.width / subject.height,
                "sizes": [[*subject.columns[size], *_missing_columns(subject, missing)] for size in sizes],
            }
            for subject in subjects
        ]
    }
    legend, plots, note = _curves_section(rows, titles)
    main = fill_template(
        "report_main.html",
        pictures=_fieldset(
            "Picture",
            _radio_buttons("picture", [_thumbnail_element(subject) for subject in subjects]),
            hidden=len(subjects) == 1,
        ),
        sizes=_fieldset("At most", _radio_buttons("size", [f"{size:,} bytes" for size in sizes])),
        opener=_OPENER if decoder else "",
        views=_radio_buttons("view", list(_VIEWS.values()), list(_VIEWS)),
        tables=_figure_tables(subjects, rows, titles, missing),
        links=links,
        curves_note=note,
        legend=legend,
        plots=plots,
        reading=_how_to_read_figures(missing),
    )
    names = ", ".join(subject.name for subject in subjects)
    count = "one picture" if len(subjects) == 1 else f"{len(subjects)} pictures"
    return build_page(
        f"Compared: {names if len(names) < 60 else count}",
        f"{len(titles)} codecs at equal bytes, on {count}.",
        main,
        _report_footer(),
        data=data,
        scripts=("viewer.js", "opener.js", "report.js"),
        decoder=decoder,
    )


def _curves_section(rows: Sequence[Row], titles: dict[str, str]) -> tuple[str, str, str]:
    """Returns (the legend, the plots, the remarks on them)."""
    try:
        plots = "".join(plots_svg(rows).values())
        names = list(titles)
        legend = "".join(f"<li>{legend_svg(name, names)}{escape(titles[name])}</li>" for name in names)
    except ModelError as error:
        return "", "", f"Not drawn: {escape(str(error))}."
    several = f" {_means_over(rows)}." if len({row.picture for row in rows}) > 1 else ""
    return legend, plots, f"Up and to the left is better.{several}"


def _missing_columns(subject: ReportSubject, missing: dict[str, str]) -> list[dict[str, str]]:
    """Returns the reasons in place of the columns of codecs that have no picture."""
    codecs = {name: why for name, why in missing.items() if name not in METRICS} | dict(subject.failed)
    return [{"id": name, "label": name, "why": why} for name, why in codecs.items()]


def _thumbnail_element(subject: ReportSubject) -> str:
    return f'<img src="{escape(subject.original)}" alt="{escape(subject.name)}" loading="lazy">'


def _fieldset(legend: str, content: str, *, hidden: bool = False) -> str:
    return f"<fieldset{' hidden' if hidden else ''}><legend>{legend}</legend>{content}</fieldset>"


def _radio_buttons(name: str, labels: Sequence[str], values: Sequence[str] | None = None) -> str:
    """Returns radio buttons, one for each of ``labels`` (HTML); the first one is selected."""
    values = values or [str(number) for number in range(len(labels))]
    choices = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        checked = "" if number else " checked"
        box = f'<input type="radio" name="{name}" value="{value}"{checked} autocomplete="off">'
        choices.append(f'<label class="choice">{box}<span>{label}</span></label>')
    return "".join(choices)


def _figure_tables(
    subjects: Sequence[ReportSubject], rows: Sequence[Row], titles: dict[str, str], missing: dict[str, str]
) -> str:
    parts = []
    for number, subject in enumerate(subjects):
        caption = f"{subject.name}, {subject.width} × {subject.height}"
        table = figures_table(caption, subject.rows, titles, missing)
        parts.append(f'<div data-picture="{number}">{table}</div>')
    if len(subjects) > 1:
        parts.append(f"<br>{figures_table(_means_over(rows), mean_rows(rows), titles, missing)}")
    return "".join(parts)


def _means_over(rows: Sequence[Row]) -> str:
    count, every = (
        len({row.picture for row in chosen}) for chosen in (rows_of_pictures_all_coded(rows), rows)
    )
    if count == every:
        return f"Means over the {every} pictures"
    return f"Means over the {count} of {every} pictures that every codec can code"


def _how_to_read_figures(missing: dict[str, str]) -> str:
    items = [
        (kind.title, kind.about + (f" Not measured: {missing[name]}." if name in missing else ""))
        for name, kind in METRICS.items()
    ]
    items += [
        (f"No {name}", why[0].upper() + why[1:] + ".") for name, why in missing.items() if name not in METRICS
    ]
    items.append(("bpp, ratio", "Bits per pixel of the whole file, and its ratio to plain RGB."))
    items.append(
        (
            "In all",
            "Invented texture lowers fidelity: judge by both kinds of figures, and by looking.",
        )
    )
    return "".join(f"<dt>{escape(term)}</dt><dd>{escape(explanation)}</dd>" for term, explanation in items)


def _report_footer() -> str:
    versions = {name: features.version(name) for name in ("jpg", "webp", "avif")}
    used = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    ours = f"<code>calotype compare</code>, Calotype {calotype.__version__}"
    return f"<p>Made by {ours}; Pillow {PIL.__version__} ({used}).</p>"
