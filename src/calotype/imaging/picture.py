"""Any source to a :class:`Picture`: upright 8-bit sRGB, transparency apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import TiffImageFile

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging.alpha import fill_hidden
from calotype.imaging.colour import ProfileError, describes, to_srgb
from calotype.imaging.metadata import Metadata, read_exif, read_orientation, read_xmp
from calotype.imaging.modes import split
from calotype.imaging.source import Source, open_source
from calotype.limits import Limits

__all__ = ["Picture", "load_picture"]

Pixels = NDArray[np.uint8]

# Their further "frames" are layers, or a thumbnail or gain map that belongs to the first one.
_ONE_PICTURE = {"MPO", "PSD"}

_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@dataclass(frozen=True, eq=False)
class Picture:
    """What is encoded.

    ``rgb`` uint8[H, W, 3]: sRGB, upright, hidden colours replaced. ``alpha`` uint8[H, W], 255 is opaque;
    None if all of it is. ``grey``: the three channels are equal everywhere. ``metadata``: all that the
    source carries, GPS coordinates included; whether to keep it is for the caller to decide.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    grey: bool
    metadata: Metadata


def load_picture(source: Source, *, limits: Limits, strict: bool) -> Picture:
    """Reads ``source``: an image or array, a path, or a binary stream.

    The size is checked from the header, against ``limits`` alone. All modes of Pillow are understood;
    EXIF orientation is applied and ICC profiles are converted to sRGB. Of an animation only the current
    frame (of a file: the first) is taken, and a profile that cannot be used is ignored: both with a
    :class:`CalotypeWarning`, or a :class:`SourceError` if ``strict``. Raises :class:`SourceError` for what
    cannot be read, :class:`LimitError` for what is too large, ``TypeError`` and ``ValueError`` for what
    is no source.
    """
    with open_source(source, limits) as (image, name):
        if image.format not in _ONE_PICTURE and getattr(image, "is_animated", False):
            _report(f"{name} holds several frames: only frame {image.tell() + 1} is encoded", strict)
        _reserve(image)
        image.load()
        limits.check_size(*image.size)  # again: icon formats learn their true size only now
        orientation = read_orientation(image)
        colours, alpha = split(image)
        colours, profile = _managed(colours, image.info.get("icc_profile"), name, strict)
        rgb = _upright(np.asarray(colours.convert("RGB")), orientation)
        if alpha is not None:
            alpha = _upright(alpha, orientation)
            rgb = fill_hidden(rgb, alpha)
            alpha = None if (alpha == 255).all() else alpha
        grey = _is_grey(rgb)
        if profile is not None and not describes(profile, "L" if grey else "RGB"):
            profile = None
        return Picture(rgb, alpha, grey, Metadata(profile, read_exif(image), read_xmp(image)))


def _reserve(image: Image.Image) -> None:
    """Gives a TIFF file its memory, which is otherwise preceded by a check against Pillow's global.

    Not for the orientations that exchange width and height, where the reader alone knows the stored size.
    """
    if isinstance(image, TiffImageFile) and image.tag_v2.get(Base.Orientation, 1) in range(1, 5):
        ImageFile.ImageFile.load_prepare(image)


def _managed(
    colours: Image.Image, profile: bytes | None, name: str, strict: bool
) -> tuple[Image.Image, bytes | None]:
    """(``colours`` in sRGB, the profile that they were in, if it could be used)."""
    try:
        return to_srgb(colours, profile), profile
    except ProfileError as error:
        _report(f"{name} has an ICC profile that cannot be used and is ignored: {error}", strict)
        return to_srgb(colours, None), None


def _report(message: str, strict: bool) -> None:
    if strict:
        raise SourceError(message)
    warnings.warn(message, CalotypeWarning, stacklevel=4)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    return np.ascontiguousarray(_TURNS[orientation](pixels))


def _is_grey(rgb: Pixels) -> bool:
    green = rgb[..., 1]
    return bool((rgb[..., 0] == green).all() and (rgb[..., 2] == green).all())
