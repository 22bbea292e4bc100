"""Data that must be read from a picture's file before Pillow decodes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from calotype.imaging import jpeg, png
from calotype.imaging.declared import TOLD_BY_THE_FILE, DeclaredColours, read_declared_colours

__all__ = ["FileFindings", "read_before_pillow"]


@dataclass(frozen=True, eq=False)
class FileFindings:
    """Data from the file of a picture.

    ``colours`` is the declared colour space (:mod:`calotype.imaging.declared`). ``alpha`` uint8[H, W] is
    given where Pillow's is wrong. ``missing_rows`` is the number of rows of pixels that the file lacks;
    Pillow does not report them, and makes them black or grey.
    """

    colours: DeclaredColours = field(default_factory=DeclaredColours)
    alpha: NDArray[np.uint8] | None = None
    missing_rows: int = 0


def read_before_pillow(image: Image.Image) -> FileFindings:
    """Reads the file of ``image`` if it is available: all if it is not loaded, otherwise only its colour
    space.

    Raises the exceptions of Pillow, and ``ValueError`` for a broken palette.
    """
    with _file_before_load(image) as file:
        if file is None:
            return FileFindings(_colours_of_loaded(image))
        alpha = None
        if isinstance(image, PngImageFile) and image.tell() == 0:
            _check_palette(image)
            alpha = png.alpha_of_key_colour(file)
        return FileFindings(read_declared_colours(image, file), alpha, _missing_rows(image, file))


def _colours_of_loaded(image: Image.Image) -> DeclaredColours:
    """Reads the colour space from the file of the loaded ``image``, if the file is still there."""
    if not isinstance(image, ImageFile.ImageFile) or image.format not in TOLD_BY_THE_FILE:
        return DeclaredColours()
    if not image.filename:  # The image was opened from a stream.
        return DeclaredColours()
    try:
        with Path(os.fsdecode(image.filename)).open("rb") as file:
            again = type(image)(file)
            if (again.size, again.mode) == (image.size, image.mode):
                return read_declared_colours(again, file)
    except Exception:  # The file is gone, or another one has its name.
        return DeclaredColours()
    return DeclaredColours()


@contextmanager
def _file_before_load(image: Image.Image) -> Iterator[BinaryIO | None]:
    """Yields the open file of an image that is not loaded yet, and restores its position."""
    if not isinstance(image, ImageFile.ImageFile) or not image.fp or image.fp.closed or not image.tile:
        yield None
        return
    file = cast(BinaryIO, image.fp)
    position = file.tell()
    try:
        yield file
    finally:
        file.seek(position)


def _check_palette(image: PngImageFile) -> None:
    """Raises ``ValueError`` if the palette that the pixels need is missing or broken."""
    if image.mode != "P":
        return
    if image.palette is None:
        raise ValueError("its palette is missing")
    if not image.palette.palette or len(image.palette.palette) % 3:
        raise ValueError(f"its palette is damaged: it has {len(image.palette.palette)} bytes")


def _missing_rows(image: Image.Image, file: BinaryIO) -> int:
    if ImageFile.LOAD_TRUNCATED_IMAGES:  # The application asks Pillow for the rest of truncated pictures.
        return 0
    if isinstance(image, PngImageFile):
        return png.missing_png_rows(file)
    if image.format == "JPEG":
        return jpeg.missing_jpeg_rows(file)
    if isinstance(image, TiffImageFile):  # These are strips and tiles without an offset.
        ends = [tile.extents[3] for tile in image.tile if tile.extents]
        return max(0, image._tile_size[1] - max(ends, default=0))
    return 0
