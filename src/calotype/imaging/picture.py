"""Loading of any source as a :class:`Picture`: upright 8-bit sRGB and a separate alpha plane."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging.alpha import fill_hidden
from calotype.imaging.colour import ProfileError, can_convert_to_profile, to_srgb
from calotype.imaging.declared import DeclaredColours, declared_colour_space
from calotype.imaging.file_findings import read_before_pillow
from calotype.imaging.metadata import EVERYTHING, Metadata, read_exif, read_orientation, read_xmp
from calotype.imaging.modes import split_alpha
from calotype.imaging.source import PictureSource, open_picture_source
from calotype.imaging.spaces import ColourSpaceError
from calotype.limits import Limits

__all__ = ["Picture", "load_picture"]

Pixels = NDArray[np.uint8]
Report = Callable[[str], None]

# Their further "frames" are layers, or a thumbnail or gain map of the first one.
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
    """A picture to encode.

    ``rgb`` uint8[H, W, 3] is upright, in sRGB, with the colours of hidden pixels replaced. ``alpha``
    uint8[H, W] is 255 for opaque pixels; None means that all are opaque. ``grey`` says whether the three
    channels are equal everywhere. ``metadata`` are those fields of the source that were to be kept, which may
    include GPS coordinates.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    grey: bool
    metadata: Metadata


def load_picture(
    source: PictureSource, *, limits: Limits, strict: bool, keep: Collection[str] = EVERYTHING
) -> Picture:
    """Reads ``source``: an image or array, a path, or a binary stream.

    The size in the header is checked against ``limits``, before pixels are read. All modes of Pillow are
    supported. The orientation in EXIF or XMP is applied to files, and to images as Pillow has opened them;
    images that an operation of Pillow has returned are not turned. Colours are converted to sRGB from the
    space that an ICC profile, or the format in another way, declares. ``keep`` are the fields of
    :class:`Metadata` that are read; the others are None.

    There is a :class:`CalotypeWarning`, or a :class:`SourceError` if ``strict``, in three cases: only the
    current frame of an animation is taken (the first one of a file); a profile or colour space cannot be used
    and is ignored; EXIF or XMP cannot be read and is left out. Raises :class:`SourceError` if the source
    cannot be read, :class:`LimitError` if it is too large, and ``TypeError`` and ``ValueError`` for other
    types and shapes.
    """
    with open_picture_source(source, limits) as (image, name):
        report = partial(_report_loss, name, strict)
        if image.format not in _ONE_PICTURE and getattr(image, "is_animated", False):
            report(f"holds several frames: only frame {image.tell() + 1} is encoded")
        ahead = read_before_pillow(image)
        _check_pixel_memory(image)
        image.load()
        if ahead.missing_rows:
            raise SourceError(f"{name} cannot be read: {ahead.missing_rows} rows of its pixels are missing")
        if _exceeds_palette(image):
            report("has pixels whose colours are missing in its palette: they are black")
        limits.check_size(*image.size)  # The size is checked again: it may change here for icon formats.
        orientation = read_orientation(image)
        colours, alpha = split_alpha(image, ahead.alpha)
        colours, profile = _colours_in_srgb(colours, declared_colour_space(image, ahead.colours), report)
        rgb = _turn_upright(np.asarray(colours.convert("RGB")), orientation)
        if alpha is not None:
            alpha = _turn_upright(alpha, orientation)
            rgb = fill_hidden(rgb, alpha)
            alpha = None if (alpha == 255).all() else alpha
        grey = _is_grey(rgb)
        if profile is not None and not (
            "icc" in keep and can_convert_to_profile(profile, "L" if grey else "RGB")
        ):
            profile = None
        has = partial(_has_metadata, report)
        exif = read_exif(image, has) if "exif" in keep else None
        xmp = read_xmp(image, has) if "xmp" in keep else None
        return Picture(rgb, alpha, grey, Metadata(profile, exif, xmp))


def _check_pixel_memory(image: Image.Image) -> None:
    """Allocates the pixels of a TIFF file; Pillow's reader would check its own global limit before.

    It does nothing for orientations that exchange width and height: only the reader has the stored size.
    """
    if isinstance(image, TiffImageFile) and image.tag_v2.get(Base.Orientation, 1) in range(1, 5):
        ImageFile.ImageFile.load_prepare(image)


def _exceeds_palette(image: Image.Image) -> bool:
    """Returns whether pixels of a PNG file exceed its palette; Pillow takes them for black."""
    if not isinstance(image, PngImageFile) or image.mode != "P" or image.palette is None:
        return False
    return int(np.asarray(image).max()) >= len(image.palette.palette) // 3


def _colours_in_srgb(
    colours: Image.Image, source: DeclaredColours, report: Report
) -> tuple[Image.Image, bytes | None]:
    """Returns (``colours`` in sRGB, their former profile if it could be used)."""
    problem = source.problem
    try:
        profile = source.profile(grey=colours.mode == "L")
        if problem is None:
            return to_srgb(colours, profile), profile
    except ProfileError as error:
        report(f"has an ICC profile that cannot be used and is ignored: {error}")
    except ColourSpaceError as error:
        problem = str(error)
    if problem is not None:
        report(f"is in a colour space that cannot be converted, and is taken for sRGB: {problem}")
    return to_srgb(colours, None), None


def _has_metadata(report: Report, message: str) -> None:
    report(f"has {message}")


def _report_loss(name: str, strict: bool, message: str) -> None:
    if strict:
        raise SourceError(f"{name} {message}")
    warnings.warn(f"{name} {message}", CalotypeWarning, stacklevel=4)


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    return np.ascontiguousarray(_TURNS[orientation](pixels))


def _is_grey(rgb: Pixels) -> bool:
    green = rgb[..., 1]
    return bool((rgb[..., 0] == green).all() and (rgb[..., 2] == green).all())
