"""Pictures with faces at known places, for the face finder.

``faces.tsv`` has the places of the faces in the photographs, from brow to chin, as fractions of width and
height. They were found with the cascade of OpenCV and checked by eye; a few were added by hand. Photographs
with people but without places are listed too, and never used.

Some scenes are dark, and some heads wear a mask that is drawn over nose and mouth.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from assets import HERE, held_out, photos
from loop import CACHE
from PIL import Image, ImageDraw, ImageFilter


def cached(name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the arrays of ``make``, which is called if the cache lacks them; safe to use from processes."""
    file = CACHE / f"{name}.npz"
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = CACHE / f"{name}-{os.getpid()}.npz"
        np.savez(temporary, **make())
        temporary.replace(file)
    with np.load(file) as stored:
        return dict(stored)


Box = tuple[float, float, float, float]
"""Left, top, width and height."""

DARK, MASKED = 0.2, 0.2
"""Shares of scenes that are dark, and of heads that wear a mask."""

SMALLEST_OVAL = 24
"""The smallest width in pixels of what counts as a face: three positions, so that one or more of them are
wholly within it."""

MASKS = ((168, 204, 222), (240, 240, 240), (120, 190, 190), (30, 30, 34), (60, 80, 120), (200, 120, 130))
"""Colours of masks, of which each one that is drawn differs a little."""


@dataclass(frozen=True)
class Face:
    """A face: its photograph, and its box in fractions of the photograph's width and height."""

    path: Path
    box: Box


@lru_cache(400)
def _photo(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


class Scenes:
    """Draws scenes of ``side`` x ``side`` pixels; ``validation`` takes the held-out photographs only.

    ``sizes`` are the smallest and the largest width of a face in pixels. ``chances`` are the probabilities
    that a scene has no face, one, two and so on.
    """

    def __init__(
        self,
        seed: int,
        side: int,
        *,
        sizes: tuple[int, int] = (11, 260),
        chances: tuple[float, ...] = (0.3, 0.4, 0.2, 0.1),
        validation: bool = False,
    ) -> None:
        self._rng, self._side, self._sizes, self._chances = np.random.default_rng(seed), side, sizes, chances
        with (HERE / "faces.tsv").open(newline="") as table:
            rows = list(csv.DictReader(table, delimiter="\t"))
        known = {path.name: path for path in photos() if (path.name in held_out()) == validation}
        self._faces = [
            Face(known[row["file"]], tuple(float(row[key]) for key in ("left", "top", "width", "height")))
            for row in rows
            if row["left"] and row["file"] in known
        ]
        self._boxes: dict[Path, list[Box]] = {}
        for face in self._faces:
            self._boxes.setdefault(face.path, []).append(face.box)
        people = {row["file"] for row in rows}
        self._places = [path for name, path in known.items() if name not in people]
        # There are many portraits, which are alike.
        weights = np.array([0.4 if face.path.name.startswith("congress") else 1.0 for face in self._faces])
        self._weights = weights / weights.sum()

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns (pixels uint8[side, side, 3], the fraction of each 8x8 cell that is face, float32[side/8,
        side/8]).
        """
        scene, mask = self._background(), Image.new("L", (self._side, self._side))
        for _ in range(self._rng.choice(len(self._chances), p=self._chances)):
            self._paste(scene, mask)
        scene = self._developed(scene)
        if self._rng.random() < 0.08:
            scene = scene.convert("L").convert("RGB")
        if self._rng.random() < DARK:
            scene = self._at_night(scene)
        cells = np.asarray(mask, np.float32).reshape(self._side // 8, 8, -1, 8).mean((1, 3)) / 255
        return np.asarray(scene), cells

    def _background(self) -> Image.Image:
        photo = _photo(self._places[self._rng.integers(len(self._places))])
        share = self._rng.uniform(0.4, 1.0)
        side = max(64, int(min(photo.size) * share))
        x, y = (self._rng.integers(full - side + 1) if full > side else 0 for full in photo.size)
        return photo.crop((x, y, x + side, y + side)).resize(
            (self._side, self._side), Image.Resampling.LANCZOS
        )

    def _paste(self, scene: Image.Image, mask: Image.Image) -> None:
        """Pastes a head with its surroundings, rotated and faded, into the scene at a random place."""
        rng = self._rng
        face = self._faces[rng.choice(len(self._faces), p=self._weights)]
        photo = _photo(face.path)
        left, top, width, height = (v * photo.size[i % 2] for i, v in enumerate(face.box))
        size = float(np.exp(rng.uniform(*np.log(self._sizes))))
        scale = size / width
        around = rng.uniform(0.35, 2.5)
        box = [
            left - around * width,
            top - around * height,
            left + (1 + around) * width,
            top + (1 + around) * height,
        ]
        box = [max(box[0], 0), max(box[1], 0), min(box[2], photo.width), min(box[3], photo.height)]
        cut = photo.crop(tuple(map(int, box)))
        shape = (max(8, round(cut.width * scale)), max(8, round(cut.height * scale)))
        cut = self._developed(cut.resize(shape, Image.Resampling.LANCZOS))
        oval = Image.new("L", shape)
        for other in self._boxes[face.path]:
            edges = [v * photo.size[i % 2] for i, v in enumerate(other)]
            inside = (
                (edges[0] - box[0]) * scale,
                (edges[1] - box[1]) * scale,
                edges[2] * scale,
                edges[3] * scale,
            )
            _draw_oval(oval, inside)
            if rng.random() < MASKED:
                self._draw_mask(cut, inside)
        x, y = (left - box[0]) * scale, (top - box[1]) * scale
        w, h = width * scale, height * scale
        fade = Image.new("L", shape)
        rim = 0.12 * min(shape)
        ImageDraw.Draw(fade).rectangle((rim, rim, shape[0] - rim, shape[1] - rim), fill=255)
        fade = fade.filter(ImageFilter.GaussianBlur(rim / 2))
        if rng.random() < 0.5:
            cut, oval, fade = (im.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for im in (cut, oval, fade))
            x = shape[0] - x - w
        turn = float(rng.normal(0, 12))
        centre = (x + w / 2, y + h / 2)
        cut, oval, fade = (
            im.rotate(turn, Image.Resampling.BILINEAR, center=centre) for im in (cut, oval, fade)
        )
        corner = tuple(int(rng.uniform(0.1, 0.9) * self._side - c) for c in centre)
        scene.paste(cut, corner, fade)
        hidden = Image.new("L", shape)
        mask.paste(hidden, corner, fade)
        mask.paste(oval, corner, oval)

    def _developed(self, image: Image.Image) -> Image.Image:
        """Returns the picture with random brightness, contrast, colour and sharpness."""
        rng = self._rng
        values = np.asarray(image, np.float32) / 255
        gain = np.exp(rng.normal(0, 0.08, 3)) * np.exp(rng.normal(0, 0.2))
        values = np.clip(values * gain, 0, 1) ** np.exp(rng.normal(0, 0.25))
        grey = values.mean(2, keepdims=True)
        values = np.clip(grey + (values - grey) * rng.uniform(0.6, 1.3), 0, 1)
        out = Image.fromarray((values * 255).astype(np.uint8))
        return out.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1))) if rng.random() < 0.3 else out

    def _draw_mask(self, cut: Image.Image, box: Box) -> None:
        """Draws a mask of cloth over the lower half of a face."""
        rng, (x, y, w, h) = self._rng, box
        colour = np.clip(np.array(MASKS[rng.integers(len(MASKS))]) + rng.normal(0, 18, 3), 0, 255).astype(int)
        upper, lower = rng.uniform(0.42, 0.6), rng.uniform(0.95, 1.12)
        side, bow, chin = rng.uniform(0, 0.1), rng.uniform(0, 0.12), rng.uniform(0.08, 0.25)
        corners = [(side, upper), (0.5, upper - bow), (1 - side, upper), (1 - 1.5 * side, lower - chin)]
        corners += [(0.5, lower), (1.5 * side, lower - chin)]
        draw = ImageDraw.Draw(cut)
        draw.polygon(
            [(x + across * w, y + down * h) for across, down in corners], fill=tuple(colour.tolist())
        )
        for share in rng.uniform(0.1, 0.9, rng.integers(0, 4)):
            row = y + h * (upper + share * (lower - chin - upper))
            shade = tuple(np.clip(colour * rng.uniform(0.75, 0.95), 0, 255).astype(int).tolist())
            draw.line((x + 1.5 * side * w, row, x + (1 - 1.5 * side) * w, row), fill=shade)

    def _at_night(self, image: Image.Image) -> Image.Image:
        """Returns the picture with 1/2 to 1/24 of the light, and the noise of a sensor."""
        rng = self._rng
        light = (np.asarray(image, np.float32) / 255) ** 2.2 / np.exp(rng.uniform(np.log(2), np.log(24)))
        shot, floor = 10 ** rng.uniform(-4.5, -3.2), 10 ** rng.uniform(-7, -5.5)
        noisy = light + rng.normal(size=light.shape) * np.sqrt(light * shot + floor)
        return Image.fromarray((255 * np.clip(noisy, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8))


def _draw_oval(mask: Image.Image, box: Box) -> None:
    """Draws the oval of a face into a mask, in no smaller size than ``SMALLEST_OVAL``."""
    x, y, w, h = box
    centre = x + w / 2, y + 0.54 * h
    reach = max(0.4 * w, SMALLEST_OVAL / 2), max(0.5 * h, SMALLEST_OVAL / 2)
    ends = (centre[0] - reach[0], centre[1] - reach[1], centre[0] + reach[0], centre[1] + reach[1])
    ImageDraw.Draw(mask).ellipse(ends, fill=255)
