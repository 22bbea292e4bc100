"""Pictures with labelled faces and text.

Faces: ``faces.tsv`` has the boxes of faces in Kodak, the samples and photographs that training holds out,
found by a detector and checked by eye. Text: lines drawn into photographs at known sizes, signs in held-out
photographs, and the page of scikit-image. The text of a sign is what the recogniser reads in the original
with high confidence.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures import ASSETS, ROOT, centre, load_rgb
from benchmarks.readers import TextReader
from calotype.models import TextBox, TextFinder

__all__ = [
    "SIZES",
    "Face",
    "Line",
    "Subject",
    "drawn_text",
    "face_subjects",
    "labelled_faces",
    "named_photograph",
    "text_subjects",
]

SIZES = (10, 12, 16, 24)
"""The heights of drawn letters: the font's size in pixels."""

_WORDS = ("Harbour", "Station", "Museum", "Bakery", "Library", "Garden", "Market", "Bridge", "Exit", "Pier")
_SIGNS = {
    "osgov-aa9c64cd4e.webp": (290, 30),
    "osmkt-69638ace14.webp": (226, 42),
    "oswrit-7e69518a63.webp": (0, 0),
    "osbus-e3124d739c.webp": (90, 32),
}
"""The left and upper edge of the crops of held-out photographs with signs."""

_BACKGROUNDS = ("coffee.png", "rocket.jpg", "kodim03.png", "kodim21.png")
_CROPS = {
    "astronaut.png": (0, 0),
    "grace_hopper.jpg": (0, 44),
    "kodim04.png": (0, 128),
    "kodim12.png": (90, 0),
    "kodim14.png": (80, 0),
    "kodim18.png": (0, 60),
    "osanth-d35643ff24.webp": (60, 20),
    "oscol-a8bb28eebb.webp": (140, 20),
    "osgov-c4101184cc.webp": (120, 50),
    "ospol-101adfb71c.webp": (280, 20),
}
"""The crops of 512x512 whose faces are measured."""

_SIDE = 512
_CONFIDENT, _FEWEST_LETTERS = 0.9, 3


@dataclass(frozen=True)
class Face:
    """The box of a face in pixels, and its kind: front, profile, small or masked."""

    box: TextBox
    kind: str


@dataclass(frozen=True)
class Line:
    """The box of a line of text in pixels, its text, and the size of its letters: 0 if unknown."""

    box: TextBox
    text: str
    size: int


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture ``rgb`` uint8[H, W, 3] with its faces or lines; ``group`` names its kind."""

    name: str
    group: str
    rgb: NDArray[np.uint8]
    faces: tuple[Face, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def boxes(self) -> list[TextBox]:
        """Returns the boxes of all faces and lines."""
        return [part.box for part in (*self.faces, *self.lines)]


def named_photograph(name: str) -> Path | None:
    """Returns the path of a photograph of the samples or of ``CALOTYPE_ASSETS``; None if it is missing."""
    folders = [ROOT / "samples", *(ASSETS / "data" / part for part in ("kodak", "train", "train2"))]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def labelled_faces() -> dict[str, list[Face]]:
    """Returns the faces of ``faces.tsv`` by the name of their photograph."""
    faces: dict[str, list[Face]] = {}
    with (Path(__file__).parent / "faces.tsv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
            faces.setdefault(row["file"], []).append(Face((left, top, width, height), row["kind"]))
    return faces


def face_subjects() -> Iterator[Subject]:
    """Yields the crops with faces. Photographs that ``CALOTYPE_ASSETS`` lacks are left out."""
    faces = labelled_faces()
    for name, (x, y) in _CROPS.items():
        path = named_photograph(name)
        if path is None:
            continue
        rgb = np.ascontiguousarray(load_rgb(path)[y : y + _SIDE, x : x + _SIDE])
        height, width = rgb.shape[:2]
        inside = []
        for face in faces[name]:
            left, top, across, down = face.box
            box = left - x, top - y, across, down
            if min(box[:2]) >= 0 and box[0] + across <= width and box[1] + down <= height:
                inside.append(Face(box, face.kind))
        yield Subject(name, "faces", rgb, faces=tuple(inside))


def text_subjects(reader: TextReader, finder: TextFinder) -> Iterator[Subject]:
    """Yields drawn text, signs and a page. Photographs that ``CALOTYPE_ASSETS`` lacks are left out."""
    for number, name in enumerate(_BACKGROUNDS):
        if path := named_photograph(name):
            rgb = load_rgb(path)
            yield drawn_text(name, centre(rgb, min(_SIDE, *rgb.shape[:2])), number)
    for name, (x, y) in _SIGNS.items():
        if path := named_photograph(name):
            rgb = np.ascontiguousarray(load_rgb(path)[y : y + _SIDE, x : x + _SIDE])
            yield Subject(name, "signs", rgb, lines=_read_lines(rgb, reader, finder))
    import skimage.data

    page = np.asarray(Image.fromarray(skimage.data.page()).convert("RGB"))
    yield Subject("page", "page", page, lines=_read_lines(page, reader, finder))


def _read_lines(rgb: NDArray[np.uint8], reader: TextReader, finder: TextFinder) -> tuple[Line, ...]:
    """Returns the lines that are found and read with high confidence."""
    lines = []
    for box in finder.find(rgb):
        text, confidence = reader.read(rgb, box)
        if confidence >= _CONFIDENT and len(text) >= _FEWEST_LETTERS:
            lines.append(Line(box, text, 0))
    return tuple(lines)


def drawn_text(name: str, rgb: NDArray[np.uint8], seed: int) -> Subject:
    """Returns a photograph with a line of each size on a sign, and one without a sign."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    lines = []
    bands = rng.permutation(2 * len(SIZES))
    for number, (band, size) in enumerate(zip(bands.tolist(), SIZES * 2, strict=True)):
        text = f"{rng.choice(_WORDS)} {rng.integers(10, 1000)}"
        font = ImageFont.load_default(size)
        width = int(font.getlength(text))
        left = int(rng.integers(8, image.width - width - 8))
        top = band * image.height // len(bands) + 8
        box = draw.textbbox((left, top), text, font=font)
        around = (int(box[0]) - 3, int(box[1]) - 3, int(box[2]) + 3, int(box[3]) + 3)
        back = int(np.asarray(image.crop(around).convert("L")).mean())
        if number < len(SIZES):
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            draw.rectangle(around, fill=colour)
            back = int(sum(colour) / 3)
        draw.text((left, top), text, fill=(0, 0, 0) if back > 128 else (255, 255, 255), font=font)
        left, top = max(around[0], 0), max(around[1], 0)
        lines.append(Line((left, top, around[2] - left, around[3] - top), text, size))
    return Subject(f"text in {name}", "drawn text", np.asarray(image), lines=tuple(lines))
