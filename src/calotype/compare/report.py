"""The report: pictures to compare, tables and curves on one page, and the same figures as CSV and JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

import calotype
from calotype.compare.contest import DEFAULT_SIZES, Contest, Entry, Rules, read_pixels
from calotype.compare.folder import INDEX, Pictures, fresh_folder
from calotype.compare.latent_view import latent_picture
from calotype.compare.metrics import METRICS
from calotype.compare.page import build, fill
from calotype.compare.plot import legend_svg, plots_svg
from calotype.compare.rows import Row, to_csv, to_json
from calotype.compare.tables import figure, figures_table, means
from calotype.container import EXTENSION, parse
from calotype.decoding import decode_latents
from calotype.errors import CalotypeError, LimitError, ModelError, SourceError
from calotype.limits import Limits

__all__ = ["render", "write_report"]

_LINKS = 'The same as <a href="figures.csv">CSV</a> and <a href="figures.json">JSON</a>.'
_UNBROKEN = str.maketrans(" -", "\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}")
_VIEWS = {"divider": "Divider", "grid": "Side by side", "difference": "Difference"}


def write_report(
    photos: Sequence[Path],
    out: Path,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rules: Rules | None = None,
    limits: Limits | None = None,
    embed: bool = False,
    force: bool = False,
    progress: Callable[[], None] = lambda: None,
    failed: Callable[[Path, CalotypeError], None] | None = None,
) -> list[Row]:
    """Compares codecs on ``photos``, each within ``sizes`` (bytes of the whole file), and writes a folder.

    ``out/index.html`` shows the pictures beside it, or holds them with ``embed``; ``figures.csv`` and
    ``figures.json`` have its figures, and every coded file lies with its picture. ``progress`` is called
    after each photo, ``failed`` for one that cannot be read, which is left out (if None, or if all cannot,
    an error is raised). Raises :class:`SourceError`, :class:`LimitError`, :class:`ModelError`,
    :class:`OutputError`; nothing is left half-written.
    """
    contest = Contest(rules or Rules())
    with fresh_folder(out, force=force) as folder:
        named = _readable(photos, limits, failed)
        pictures = Pictures(folder, embed=embed)
        page, rows = render(named, contest, sizes, pictures, links=_LINKS, progress=progress)
        (folder / "figures.csv").write_text(to_csv(rows), "utf-8")
        (folder / "figures.json").write_text(to_json(rows, missing=contest.missing), "utf-8")
        (folder / INDEX).write_text(page, "utf-8")
    return rows


def _readable(
    photos: Sequence[Path],
    limits: Limits | None,
    failed: Callable[[Path, CalotypeError], None] | None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The name and pixels of every photo that can be read."""
    for photo in photos:
        try:
            rgb = read_pixels(photo, limits)
        except (SourceError, LimitError) as error:
            if failed is None:
                raise
            failed(photo, error)
        else:
            yield photo.stem, rgb


def render(
    photos: Iterable[tuple[str, NDArray[np.uint8]]],
    contest: Contest,
    sizes: Sequence[int],
    pictures: Pictures,
    *,
    links: str = "",
    progress: Callable[[], None] = lambda: None,
) -> tuple[str, list[Row]]:
    """(the page, its figures) of named photos, uint8[H, W, 3]; ``links`` is HTML that tells of other files.

    Raises :class:`ModelError` if nothing could be made of a photo, :class:`SourceError` if there is none.
    """
    sizes = sorted(set(sizes), reverse=True)
    subjects: list[_Subject] = []
    titles: dict[str, str] = {}
    for number, (name, rgb) in enumerate(photos, 1):
        place = f"pictures/{number:02}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"
        entries = list(contest.enter(name, rgb, sizes))
        if not entries:
            raise ModelError("; ".join(contest.missing.values()))
        subjects.append(_Subject(name, rgb, place, pictures, sizes, entries))
        titles |= {entry.row.codec: entry.title for entry in entries}
        progress()
    if not subjects:
        raise SourceError("there is no picture left to compare")
    return _page(subjects, titles, contest.missing, sizes, links), [
        row for subject in subjects for row in subject.rows
    ]


class _Subject:
    """One photo of the report: its pictures are written, and only their addresses kept."""

    def __init__(
        self,
        name: str,
        rgb: NDArray[np.uint8],
        place: str,
        pictures: Pictures,
        sizes: Sequence[int],
        entries: Iterable[Entry],
    ) -> None:
        self.name = name
        self.height, self.width = rgb.shape[:2]
        self._place, self._pictures = place, pictures
        self.original = pictures.add(f"{place}/original", rgb)
        self.rows: list[Row] = []
        self.columns: dict[int, list[dict[str, Any]]] = {size: [self._original()] for size in sizes}
        self._addresses: dict[str, tuple[str, tuple[str, str] | None]] = {}
        ghosts: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
        for entry in entries:
            self.rows.append(entry.row)
            picture, ghost = self._written(entry)
            self.columns[entry.row.budget].append(self._column(entry, picture))
            if ghost is not None:
                ghosts[entry.row.budget].append(self._ghost(entry, *ghost))
        for size in sizes:
            self.columns[size] += ghosts[size]

    def _original(self) -> dict[str, Any]:
        return {
            "id": "original",
            "label": "Original",
            "note": f"{3 * self.width * self.height:,} bytes as plain RGB, {self.width} × {self.height}",
            "src": self.original,
            "alt": f"{self.name}, the original",
            "width": self.width,
        }

    def _written(self, entry: Entry) -> tuple[str, tuple[str, str] | None]:
        """(address of the picture, (that of its latents, their shape)); equal files are written once."""
        name = f"{self._place}/{entry.row.codec}-{entry.row.size}"
        if name not in self._addresses:
            ghost = None
            self._pictures.write(name + entry.suffix, entry.coded.data)
            if entry.suffix == EXTENSION:
                latents = decode_latents(parse(entry.coded.data, limits=Limits())).latents
                _, rows, columns = latents.shape
                address = self._pictures.add(f"{name}-latents", latent_picture(latents))
                ghost = address, f"{columns} × {rows}"
            self._addresses[name] = self._pictures.add(name, entry.coded.rgb), ghost
        return self._addresses[name]

    def _column(self, entry: Entry, address: str) -> dict[str, Any]:
        row = entry.row
        parts = [f"{row.size:,} bytes" + ("" if row.fits else ", its smallest")]
        parts += [f"{row.ratio:.0f} : 1", f"{row.bpp:.3f} bpp"]
        parts += [
            f"{METRICS[name].title} {figure(name, value)}"
            for name, value in row.figures.items()
            if value is not None
        ]
        return {
            "id": row.codec,
            "label": entry.title,
            "note": " · ".join(part.translate(_UNBROKEN) for part in parts),
            "src": address,
            "alt": f"{self.name}, as {entry.title} gives it back from {row.size:,} bytes",
            "width": self.width,
        }

    def _ghost(self, entry: Entry, address: str, shape: str) -> dict[str, Any]:
        return {
            "id": f"{entry.row.codec}-latents",
            "label": f"Latents of {entry.title}",
            "note": f"{shape} positions, four channels shown as three colours",
            "src": address,
            "alt": f"The latents that {entry.title} keeps of {self.name}: a small, ghostly version of it",
            "width": self.width,
            "coarse": True,
        }


def _page(
    subjects: Sequence[_Subject],
    titles: dict[str, str],
    missing: dict[str, str],
    sizes: Sequence[int],
    links: str,
) -> str:
    rows = [row for subject in subjects for row in subject.rows]
    absent = [{"id": name, "label": name, "why": why} for name, why in missing.items() if name not in METRICS]
    data = {
        "pictures": [
            {
                "ratio": subject.width / subject.height,
                "sizes": [[*subject.columns[size], *absent] for size in sizes],
            }
            for subject in subjects
        ]
    }
    main = fill(
        "report_main.html",
        pictures=_fieldset(
            "Picture",
            _radios("picture", [_thumbnail(subject) for subject in subjects]),
            hidden=len(subjects) == 1,
        ),
        sizes=_fieldset("At most", _radios("size", [f"{size:,} bytes" for size in sizes])),
        views=_radios("view", list(_VIEWS.values()), list(_VIEWS)),
        tables=_tables(subjects, rows, titles, missing),
        links=links,
        curves_note="Up and to the left is better."
        + (f" Means over the {len(subjects)} pictures." if len(subjects) > 1 else ""),
        legend="".join(f"<li>{legend_svg(name, list(titles))}{escape(titles[name])}</li>" for name in titles),
        plots="".join(plots_svg(rows).values()),
        reading=_reading(missing),
    )
    names = ", ".join(subject.name for subject in subjects)
    count = "one picture" if len(subjects) == 1 else f"{len(subjects)} pictures"
    return build(
        f"Compared: {names if len(names) < 60 else count}",
        f"{len(titles)} codecs at equal bytes, on {count}.",
        main,
        _footer(),
        data=data,
        scripts=("viewer.js", "report.js"),
    )


def _thumbnail(subject: _Subject) -> str:
    return f'<img src="{escape(subject.original)}" alt="{escape(subject.name)}" loading="lazy">'


def _fieldset(legend: str, content: str, *, hidden: bool = False) -> str:
    return f"<fieldset{' hidden' if hidden else ''}><legend>{legend}</legend>{content}</fieldset>"


def _radios(name: str, labels: Sequence[str], values: Sequence[str] | None = None) -> str:
    """A choice for each of ``labels`` (HTML), the first one made."""
    values = values or [str(number) for number in range(len(labels))]
    choices = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        checked = "" if number else " checked"
        box = f'<input type="radio" name="{name}" value="{value}"{checked} autocomplete="off">'
        choices.append(f'<label class="choice">{box}<span>{label}</span></label>')
    return "".join(choices)


def _tables(
    subjects: Sequence[_Subject], rows: Sequence[Row], titles: dict[str, str], missing: dict[str, str]
) -> str:
    parts = []
    for number, subject in enumerate(subjects):
        caption = f"{subject.name}, {subject.width} × {subject.height}"
        table = figures_table(caption, subject.rows, titles, missing)
        parts.append(f'<div data-picture="{number}">{table}</div>')
    if len(subjects) > 1:
        caption = f"Means over the {len(subjects)} pictures"
        parts.append(f"<br>{figures_table(caption, means(rows), titles, missing)}")
    return "".join(parts)


def _reading(missing: dict[str, str]) -> str:
    items = [
        (kind.title, kind.about + (f" Not measured: {missing[name]}." if name in missing else ""))
        for name, kind in METRICS.items()
    ]
    items += [
        (f"No {name}", why[0].upper() + why[1:] + ".") for name, why in missing.items() if name not in METRICS
    ]
    items.append(
        ("bpp, ratio", "Bits per pixel of the whole file, and how many times smaller it is than plain RGB.")
    )
    items.append(
        ("In all", "Invented texture costs fidelity: judge by both kinds of figures and by looking.")
    )
    return "".join(f"<dt>{escape(term)}</dt><dd>{escape(what)}</dd>" for term, what in items)


def _footer() -> str:
    found = {name: features.version(name) for name in ("jpg", "webp", "avif")}
    used = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    ours = f"<code>calotype compare</code>, Calotype {calotype.__version__}"
    return f"<p>Made by {ours}; Pillow {PIL.__version__} ({used}).</p>"
