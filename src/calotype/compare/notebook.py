"""The report in a notebook: plain HTML in a frame of its own, without a widget framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from calotype.codec import ImageLike
from calotype.compare.contest import DEFAULT_SIZES, Contest, Rules, read_pixels
from calotype.compare.folder import PageFiles
from calotype.compare.report import render_report
from calotype.compare.rows import Row
from calotype.limits import Limits

__all__ = ["Widget", "widget"]


@dataclass(frozen=True)
class Widget:
    """A report that Jupyter displays.

    ``page`` is the whole page as HTML, with its pictures. ``rows`` are its figures, and ``height`` is that of
    the frame in CSS pixels.
    """

    page: str
    rows: tuple[Row, ...]
    height: int = 900

    def _repr_html_(self) -> str:
        """Returns the page in a frame that may run its own scripts and nothing else."""
        return (
            f'<iframe title="Codecs compared" sandbox="allow-scripts" srcdoc="{escape(self.page)}"'
            f' style="width: 100%; height: {self.height}px; border: 0; border-radius: 10px"></iframe>'
        )


def widget(
    image: ImageLike,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    rules: Rules | None = None,
    name: str = "picture",
    limits: Limits | None = None,
    height: int = 900,
) -> Widget:
    """Compares codecs on one picture, for display in a notebook: ``calotype.compare.widget("photo.jpg")``.

    ``sizes`` are the largest sizes of whole files in bytes. ``name`` is the picture's name in the report, and
    ``height`` that of the frame in CSS pixels. Raises :class:`SourceError`,
    :class:`LimitError`, :class:`ModelError`.
    """
    rgb = read_pixels(image, limits)
    page, rows = render_report([(name, rgb)], Contest(rules or Rules()), sizes, PageFiles(None, embed=True))
    return Widget(page, tuple(rows), height)
