"""The recall of the embedded face finder by kinds of faces: ``python -m benchmarks.face_finder``.

The faces are those of :mod:`benchmarks.subjects`: from the front, profiles, small ones (under 25 pixels) and
masked ones. Those from the front are also measured with changes: reduced to 12 to 24 pixels and pasted into
photographs without faces; with a drawn mask over nose and mouth; and darkened to 1/8 and 1/16 of the light,
with noise. A face counts as found if a region that the encoder would refine covers half of its box. The
regions that are found in photographs without faces are counted, too.

The results are in results/truth-faces.md. The benchmark needs the photographs of ``CALOTYPE_ASSETS``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import calotype
from benchmarks.ledger import fingerprint
from benchmarks.pictures import RESULTS, centre, load_rgb
from benchmarks.subjects import labelled_faces, named_photograph
from calotype.encoding.regions import face_regions
from calotype.imaging import resample_picture
from calotype.models import TextBox, load_encoder, load_face_finder
from calotype.models.tiling import encode_tiled, find_faces_tiled

__all__ = ["darkened", "main", "masked", "reduced"]

SMALL_HEIGHTS = (12, 16, 20, 24)
LIGHTS = (8, 16)
_COVERED = 0.5
_COARSE, _BITS = 100, 1_000_000
"""A level and a payload size in bits at which the encoder refines every face that is found."""

_WITHOUT = (
    *("coffee.png", "rocket.jpg", "hubble.png", "chelsea.png"),
    *(f"kodim{number:02}.png" for number in (1, 3, 5, 6, 8, 13, 16, 19, 20, 21, 23, 24)),
)
"""Photographs without faces. Two of them show parrots and a cat."""

_BACKDROPS = ("coffee.png", "kodim21.png", "kodim06.png", "kodim16.png")
Example = tuple[str, NDArray[np.uint8], list[TextBox]]


class Finder:
    """The face finder, on the latents of the embedded encoder."""

    def __init__(self) -> None:
        self._encoder = load_encoder("pocket", 1)
        finder = load_face_finder("pocket", 1)
        if finder is None:
            raise ValueError("pocket has no face finder")
        self._finder = finder

    def boxes(self, rgb: NDArray[np.uint8]) -> list[TextBox]:
        """Returns the boxes of the regions found in uint8[H, W, 3], in pixels."""
        height, width = (side - side % 8 for side in rgb.shape[:2])
        latents = encode_tiled(self._encoder, np.ascontiguousarray(rgb[:height, :width]))
        regions = face_regions(find_faces_tiled(self._finder, latents), _COARSE, _BITS)
        return [(8 * region.left, 8 * region.top, 8 * region.width, 8 * region.height) for region in regions]


def reduced(rgb: NDArray[np.uint8], box: TextBox, height: int, backdrop: NDArray[np.uint8]) -> Example:
    """Returns ``backdrop`` with the photograph around a face, reduced so that the face has ``height``."""
    left, top, across, down = box
    scale = height / down
    whole = resample_picture(rgb, max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    x, y = round((left + across / 2) * scale), round((top + down / 2) * scale)
    reach = 2 * height
    begin = max(x - reach, 0), max(y - reach, 0)
    piece = whole[begin[1] : y + reach, begin[0] : x + reach]
    canvas = backdrop.copy()
    corner = ((canvas.shape[1] - piece.shape[1]) // 2, (canvas.shape[0] - piece.shape[0]) // 2)
    canvas[corner[1] : corner[1] + piece.shape[0], corner[0] : corner[0] + piece.shape[1]] = piece
    placed = corner[0] + round(left * scale) - begin[0], corner[1] + round(top * scale) - begin[1]
    return f"small, {height} px", canvas, [(*placed, max(1, round(across * scale)), height)]


def masked(rgb: NDArray[np.uint8], boxes: Sequence[TextBox]) -> Example:
    """Returns the picture with a light blue mask over the lower half of each face."""
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    for left, top, across, down in boxes:
        upper, lower = top + 0.55 * down, top + down
        corners = [(0.04, upper), (0.5, upper - 0.06 * down), (0.96, upper), (0.9, lower - 0.12 * down)]
        corners += [(0.5, lower), (0.1, lower - 0.12 * down)]
        draw.polygon([(left + share * across, y) for share, y in corners], fill=(168, 204, 222))
        for share in (0.25, 0.5, 0.75):
            y = upper + share * (lower - upper) * 0.8
            draw.line((left + 0.08 * across, y, left + 0.92 * across, y), fill=(146, 184, 204))
    return "masked, drawn", np.asarray(image), list(boxes)


def darkened(rgb: NDArray[np.uint8], boxes: Sequence[TextBox], divisor: int, seed: int) -> Example:
    """Returns the picture with 1/``divisor`` of the light, and the noise of a sensor at night."""
    light = (rgb / 255) ** 2.2 / divisor
    noise = np.random.default_rng(seed).normal(scale=np.sqrt(light * 4e-4 + 1e-6), size=light.shape)
    dark = 255 * np.clip(light + noise, 0, 1) ** (1 / 2.2)
    return f"dark, 1/{divisor} of the light", (dark + 0.5).astype(np.uint8), list(boxes)


def _examples() -> Iterator[Example]:
    """Yields (kind, picture, boxes of its faces)."""
    backdrops = [centre(load_rgb(path), 256) for name in _BACKDROPS if (path := named_photograph(name))]
    for number, (name, faces) in enumerate(labelled_faces().items()):
        path = named_photograph(name)
        if path is None:
            continue
        rgb = load_rgb(path)
        for kind in dict.fromkeys(face.kind for face in faces):
            yield kind, rgb, [face.box for face in faces if face.kind == kind]
        front = [face.box for face in faces if face.kind == "front"]
        if front:
            yield masked(rgb, front)
            for divisor in LIGHTS:
                yield darkened(rgb, front, divisor, number)
            for height in SMALL_HEIGHTS:
                yield reduced(rgb, front[0], height, backdrops[number % len(backdrops)])


def _is_found(face: TextBox, found: Sequence[TextBox]) -> bool:
    left, top, across, down = face
    for x, y, width, height in found:
        shared = max(0, min(left + across, x + width) - max(left, x)) * max(
            0, min(top + down, y + height) - max(top, y)
        )
        if shared >= _COVERED * across * down:
            return True
    return False


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.face_finder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    finder = Finder()
    counts: dict[str, list[int]] = {}
    for kind, rgb, boxes in _examples():
        found = finder.boxes(rgb)
        count = counts.setdefault(kind, [0, 0])
        count[0] += len(boxes)
        count[1] += sum(_is_found(box, found) for box in boxes)
    empty = [path for name in _WITHOUT if (path := named_photograph(name))]
    wrong = [len(finder.boxes(load_rgb(path))) for path in empty]
    text = _report(counts, wrong)
    print(text)
    (options.results / "truth-faces.md").write_text(text, "utf-8")


def _report(counts: dict[str, list[int]], wrong: Sequence[int]) -> str:
    lines = [
        "# Which faces the face finder finds\n",
        f"`python -m benchmarks.face_finder`, calotype {calotype.__version__}, weights {fingerprint()}.\n",
        "| kind | faces | found |",
        "| --- | ---: | ---: |",
    ]
    lines += [
        f"| {kind} | {total} | {100 * found / total:.0f} % |"
        for kind, (total, found) in sorted(counts.items())
    ]
    lines.append(
        f"\nRegions found in {len(wrong)} photographs without faces: {sum(wrong)}, "
        f"in {sum(map(bool, wrong))} of them."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
