"""Two surfaces for one way of drawing: SVG for pages, PNG for files. Lengths are in SVG pixels."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Literal, Protocol

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Anchor", "Canvas", "PngCanvas", "Point", "SvgCanvas"]

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

_NAMED = {"ink": "#26221c", "faint": "#6b6459", "grid": "#dcd5c8", "paper": "#ffffff"}


class Canvas(Protocol):
    """What a plot needs. Colours are ``#rrggbb`` or ink, faint and grid, which follow the theme of a page."""

    def line(self, points: Sequence[Point], colour: str, width: float) -> None: ...

    def shape(self, points: Sequence[Point], colour: str) -> None:
        """A filled polygon."""
        ...

    def text(self, at: Point, text: str, colour: str, size: float, anchor: Anchor = "start") -> None:
        """``at`` is on the base line."""
        ...


class SvgCanvas:
    """Collects SVG elements; ``finish`` gives the whole element, ready to be part of a page."""

    def __init__(self, width: float, height: float) -> None:
        self._size = width, height
        self._parts: list[str] = []

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        path = f'<polyline points="{_pairs(points)}" fill="none" stroke="{_css(colour)}"'
        self._parts.append(f'{path} stroke-width="{width:g}" stroke-linejoin="round"/>')

    def shape(self, points: Sequence[Point], colour: str) -> None:
        self._parts.append(f'<polygon points="{_pairs(points)}" fill="{_css(colour)}"/>')

    def text(self, at: Point, text: str, colour: str, size: float, anchor: Anchor = "start") -> None:
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" font-size="{size:g}"'
        self._parts.append(f'<text {place} fill="{_css(colour)}">{escape(text)}</text>')

    def finish(self, label: str) -> str:
        """``label`` says in words what the drawing shows."""
        width, height = self._size
        head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}"'
        return f'{head} font-family="inherit">{"".join(self._parts)}</svg>'


class PngCanvas:
    """Two pixels to the unit of length; drawn twice as large and shrunk in the end, for smooth edges."""

    _OVER, _SCALE = 2, 4  # pixels drawn for each that stays, pixels drawn for each unit of length

    def __init__(self, width: int, height: int) -> None:
        size = width * self._SCALE, height * self._SCALE
        self._image = Image.new("RGB", size, _NAMED["paper"])
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        self._draw.line(self._scaled(points), _hex(colour), round(width * self._SCALE), "curve")

    def shape(self, points: Sequence[Point], colour: str) -> None:
        self._draw.polygon(self._scaled(points), _hex(colour))

    def text(self, at: Point, text: str, colour: str, size: float, anchor: Anchor = "start") -> None:
        font = ImageFont.load_default(size * self._SCALE)
        (place,) = self._scaled([at])
        self._draw.text(place, text, _hex(colour), font, {"start": "ls", "middle": "ms", "end": "rs"}[anchor])

    def finish(self) -> bytes:
        """The PNG file."""
        file = BytesIO()
        self._image.reduce(self._OVER).save(file, "PNG", optimize=True)
        return file.getvalue()

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._SCALE, y * self._SCALE) for x, y in points]


def _pairs(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _css(colour: str) -> str:
    return f"var(--{colour}, {_NAMED[colour]})" if colour in _NAMED else colour


def _hex(colour: str) -> str:
    return _NAMED.get(colour, colour)
