"""Planted edits: pictures in which a program has changed one object.

::

    photograph ─ signs, windows drawn into it ─ original ─┬─ coded, decoded ──────────────┐
                                                          └─ one thing changed ─ edited ──┴─ picture to verify

A scene is a photograph into which a sign and a row of windows are drawn. Each edit changes one part of it: an
object, the text of the sign, a face, or a window that is added or removed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy.ndimage import binary_dilation

from benchmarks.pictures import ROOT, load_rgb

__all__ = ["KINDS", "Edit", "at_equal_error", "face_scenes", "faded", "scenes"]

KINDS = ("object", "text", "text removed", "face", "window added", "window removed")
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"
_RING = 32
"""The width, in pixels, of the surroundings whose error an edit is compared with."""


@dataclass(frozen=True, eq=False)
class Edit:
    """``original`` and ``edited`` uint8[H, W, 3] differ within ``mask`` bool[H, W]."""

    kind: str
    original: NDArray[np.uint8]
    edited: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def scenes(rgb: NDArray[np.uint8], other: NDArray[np.uint8], seed: int) -> list[Edit]:
    """Returns edits of one scene made of the photograph ``rgb`` uint8[H, W, 3]; objects come from ``other``.

    All have the same original, and are in the order of ``KINDS``, without the face.
    """
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rgb)
    height, width = rgb.shape[:2]
    sign, windows, object_place = _places(rng, width, height)
    text = "".join(rng.choice(list(_LETTERS), 6))
    changed = _changed_text(rng, text)
    inks = [tuple(int(value) for value in rng.integers(low, high, 3)) for low, high in ((190, 256), (0, 80))]
    if rng.random() < 0.5:
        inks.reverse()
    size = int(rng.integers(14, 30))
    count = 5
    present = rng.permutation(count)[: count - 1]
    glass = int(rng.integers(20, 60)), int(rng.integers(30, 70)), int(rng.integers(50, 90))

    def scene(words: str, panes: NDArray[np.int64]) -> NDArray[np.uint8]:
        picture = image.copy()
        _draw_sign(picture, sign, words, size, inks)
        _draw_windows(picture, windows, count, panes, glass)
        return np.asarray(picture)

    original = scene(text, present)
    all_windows = np.arange(count)
    edited_scenes = {
        "object": _with_object(original, other, object_place, rng),
        "text": scene(changed, present),
        "text removed": scene("", present),
        "window added": scene(text, all_windows),
        "window removed": scene(text, present[1:]),
    }
    return [_edit(kind, original, edited) for kind, edited in edited_scenes.items()]


def face_scenes(paths: dict[str, Path], seed: int, side: int, count: int) -> Iterator[Edit]:
    """Yields photographs of ``side`` pixels in which a face, of 24 to 120 pixels, is replaced by another
    person's.

    ``paths`` are the photographs by name; those with faces in training/faces.tsv are used.
    """
    rng = np.random.default_rng(seed)
    with (ROOT / "training" / "faces.tsv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["left"] and row["file"] in paths]
    if len(rows) < 2:
        return
    for _ in range(count):
        shown, replacement = (rows[i] for i in rng.choice(len(rows), 2, replace=False))
        if shown["file"] == replacement["file"]:
            continue
        wanted = int(rng.integers(24, 121))
        picture = load_rgb(paths[shown["file"]])
        box = _face_box(shown, picture)
        scale = wanted / max(box[2:])
        small = Image.fromarray(picture).resize(
            (max(side, round(picture.shape[1] * scale)), max(side, round(picture.shape[0] * scale))),
            Image.Resampling.LANCZOS,
        )
        box = _face_box(shown, np.asarray(small))
        left = int(np.clip(box[0] + box[2] // 2 - side // 2, 0, small.width - side))
        top = int(np.clip(box[1] + box[3] // 2 - side // 2, 0, small.height - side))
        original = np.asarray(small.crop((left, top, left + side, top + side)))
        place = (box[0] - left, box[1] - top, box[2], box[3])
        if place[2] < 16 or place[3] < 16 or max(place[2:]) > side // 2:
            continue
        source = load_rgb(paths[replacement["file"]])
        x, y, w, h = _face_box(replacement, source)
        yield _edit("face", original, _pasted(original, source[y : y + h, x : x + w], place, ellipse=True))


def faded(edits: Sequence[Edit], share: float = 1.0) -> NDArray[np.uint8]:
    """Returns the common original of ``edits`` plus ``share`` times the change of each edit."""
    original = edits[0].original.astype(np.float64)
    change = sum((edit.edited - original) * edit.mask[..., None] for edit in edits)
    return np.clip(original + share * change + 0.5, 0, 255).astype(np.uint8)


def at_equal_error(edit: Edit, decoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns ``decoded``, the picture decoded from a file of the original, with the edit in it.

    Within the edit's mask it is the original plus a fraction of the edit, at most all of it. The fraction
    makes the squared error there equal to that of the decoded picture around the edit.
    """
    original = edit.original.astype(np.float64)
    ring = binary_dilation(edit.mask, iterations=_RING) & ~edit.mask
    around = ((decoded - original)[ring] ** 2).mean()
    of_edit = ((edit.edited - original)[edit.mask] ** 2).mean()
    share = min(1.0, float(np.sqrt(around / of_edit)))
    planted = np.where(edit.mask[..., None], faded([edit], share), decoded)
    return planted.astype(np.uint8)


def _edit(kind: str, original: NDArray[np.uint8], edited: NDArray[np.uint8]) -> Edit:
    difference = np.abs(original.astype(np.int16) - edited).max(-1) > 8
    return Edit(kind, original, edited, binary_dilation(difference, iterations=2))


def _places(
    rng: np.random.Generator, width: int, height: int
) -> tuple[tuple[int, int], tuple[int, int, int], tuple[int, int, int, int]]:
    """Returns places that do not overlap: of the sign, of the windows (left, top, side), of an object."""
    bands = rng.permutation(3) * (height // 3)
    side = int(rng.integers(14, min(36, width // 14)))
    sign = int(rng.integers(8, width // 3)), int(bands[0] + rng.integers(8, height // 6))
    windows = int(rng.integers(8, width // 6)), int(bands[1] + rng.integers(8, height // 8)), side
    size = int(rng.integers(32, min(97, height // 3)))
    corner = int(rng.integers(0, width - size)), int(bands[2] + rng.integers(0, height // 3 - size + 1))
    return sign, windows, (*corner, size, size)


def _changed_text(rng: np.random.Generator, text: str) -> str:
    letters = list(text)
    for place in rng.choice(len(letters), 3, replace=False):
        letters[place] = str(rng.choice([letter for letter in _LETTERS if letter != text[place]]))
    return "".join(letters)


def _draw_sign(
    picture: Image.Image, place: tuple[int, int], words: str, size: int, inks: list[tuple[int, ...]]
) -> None:
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    left, top = place
    draw.rectangle((left, top, left + 5 * size, top + 3 * size // 2), fill=inks[0])
    draw.text((left + size // 3, top + size // 5), words, fill=inks[1], font=font)


def _draw_windows(
    picture: Image.Image,
    place: tuple[int, int, int],
    count: int,
    present: NDArray[np.int64],
    glass: tuple[int, int, int],
) -> None:
    """Draws windows on a wall: frames, panes and a cross."""
    left, top, side = place
    draw = ImageDraw.Draw(picture)
    wall = tuple(
        np.asarray(picture)[top : top + 2 * side, left : left + 2 * side].mean((0, 1)).astype(int).tolist()
    )
    frame = tuple(min(255, value + 60) for value in wall)
    draw.rectangle((left, top, left + 2 * side * count, top + 5 * side // 2), fill=wall)
    for number in present.tolist():
        x, y = left + side // 2 + 2 * side * number, top + side // 2
        draw.rectangle((x, y, x + side, y + 3 * side // 2), fill=glass, outline=frame, width=2)
        draw.line((x + side // 2, y, x + side // 2, y + 3 * side // 2), fill=frame)
        draw.line((x, y + 3 * side // 4, x + side, y + 3 * side // 4), fill=frame)


def _with_object(
    original: NDArray[np.uint8],
    other: NDArray[np.uint8],
    place: tuple[int, int, int, int],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    size = 2 * place[2]
    top, left = (int(rng.integers(0, side - size + 1)) for side in other.shape[:2])
    return _pasted(original, other[top : top + size, left : left + size], place, ellipse=True)


def _pasted(
    original: NDArray[np.uint8],
    part: NDArray[np.uint8],
    place: tuple[int, int, int, int],
    *,
    ellipse: bool,
) -> NDArray[np.uint8]:
    """Returns the picture with ``part`` at (left, top, width, height), with the mean colours of that place
    and a soft edge.
    """
    left, top, width, height = place
    piece = np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.LANCZOS), np.float64)
    below = Image.fromarray(original).crop((left, top, left + width, top + height))
    piece += np.asarray(below, np.float64).mean((0, 1)) - piece.mean((0, 1))
    mask = Image.new("L", (width, height), 0)
    inset = max(2, width // 16)
    box = (inset, inset, width - 1 - inset, height - 1 - inset)
    (ImageDraw.Draw(mask).ellipse if ellipse else ImageDraw.Draw(mask).rectangle)(box, fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(inset / 2))
    picture = Image.fromarray(original)
    picture.paste(Image.fromarray(np.clip(piece + 0.5, 0, 255).astype(np.uint8)), (left, top), mask)
    return np.asarray(picture)


def _face_box(row: dict[str, str], rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    height, width = rgb.shape[:2]
    shares = [float(row[key]) for key in ("left", "top", "width", "height")]
    left, top, right, bottom = (
        round(shares[0] * width),
        round(shares[1] * height),
        round((shares[0] + shares[2]) * width),
        round((shares[1] + shares[3]) * height),
    )
    return left, top, right - left, bottom - top
