"""The colour space that a picture declares, in any of the ways of its format."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD, Base, Interop
from PIL.TiffImagePlugin import TiffImageFile

from calotype.imaging import boxes, png
from calotype.imaging.metadata import exif_held_by_image, read_exif_directory
from calotype.imaging.spaces import (
    ADOBE_RGB,
    LINEAR,
    ROMM_RGB,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    ColourPrimaries,
    ColourSpace,
    ColourSpaceError,
    TransferCurve,
    colour_space_of_codes,
)

__all__ = ["TOLD_BY_THE_FILE", "DeclaredColours", "declared_colour_space", "read_declared_colours"]

_KNOTS = 1024
"""The largest number of entries of a transfer function that is kept as a table."""


@dataclass(frozen=True)
class DeclaredColours:
    """A colour space: an ICC profile or numbers; neither means sRGB. ``problem`` says why it is unknown.

    With ``overrides`` it overrides the picture's ICC profile. An empty ``icc`` is an unreadable profile.
    """

    icc: bytes | None = None
    space: ColourSpace | None = None
    problem: str | None = None
    overrides: bool = False

    def profile(self, grey: bool) -> bytes | None:
        """Returns the ICC profile of the space for grey or for coloured pixels; None means sRGB."""
        if self.icc is not None:
            return self.icc
        return self.space.profile(grey) if self.space is not None and not self.space.is_srgb else None


def read_declared_colours(image: Image.Image, file: BinaryIO) -> DeclaredColours:
    """Reads the colour space in ``file`` that Pillow does not pass on; ``image`` is not loaded yet."""
    read = _READERS.get(image.format or "")
    if read is None:
        return DeclaredColours()
    try:
        return read(file)
    except ColourSpaceError as error:
        return DeclaredColours(problem=str(error))
    except (LookupError, struct.error, OverflowError) as error:
        return DeclaredColours(problem=f"its description is damaged ({error})")


def declared_colour_space(image: Image.Image, read: DeclaredColours) -> DeclaredColours:
    """Returns the colour space of the loaded ``image``.

    ``read`` is the result of :func:`read_declared_colours`.

    The order of precedence is cICP in PNG, ICC profile, numbers, EXIF.
    """
    if "icc_profile" in image.info and not read.overrides:
        return DeclaredColours(icc=image.info["icc_profile"] or b"")
    if read != DeclaredColours():
        return read
    try:
        if (raw := png.imagemagick_raw_profile(image.info, "icc", "icm")) is not None:
            return DeclaredColours(icc=raw)
    except ValueError:
        return DeclaredColours(icc=b"")
    try:
        return DeclaredColours(
            space=_png_info_colours(image.info) or _tiff_colours(image) or _exif_colours(image)
        )
    except ColourSpaceError as error:
        return DeclaredColours(problem=str(error))


def _png_colours(file: BinaryIO) -> DeclaredColours:
    codes = png.cicp_codes(file)
    if codes is None:
        return DeclaredColours()
    primaries, transfer, matrix, full = codes
    if matrix != 0 or full != 1:
        raise ColourSpaceError(f"its cICP has the matrix {matrix} and the range {full}")
    return DeclaredColours(space=colour_space_of_codes(primaries, transfer), overrides=True)


def _heif_colours(file: BinaryIO) -> DeclaredColours:
    colours = boxes.heif_colours(file)
    if colours.icc is not None or colours.codes is None:
        return DeclaredColours(icc=colours.icc)
    return DeclaredColours(space=colour_space_of_codes(*colours.codes[:2]))


def _jp2_colours(file: BinaryIO) -> DeclaredColours:
    colours = boxes.jp2_colours(file)
    if colours.enumerated in (None, 0, 12, 15, 16, 17, 18):  # Pillow converts greys, CMYK, sRGB and its YCC.
        return DeclaredColours(icc=colours.icc)
    if colours.enumerated == 21:
        return DeclaredColours(space=ROMM_RGB)
    raise ColourSpaceError(f"its colour space has the number {colours.enumerated} in JPEG 2000")


def _qoi_colours(file: BinaryIO) -> DeclaredColours:
    file.seek(13)
    return DeclaredColours(space=ColourSpace(curve=LINEAR)) if file.read(1) == b"\1" else DeclaredColours()


def _bmp_colours(file: BinaryIO) -> DeclaredColours:
    """Reads the colour space of BMP headers of version 4 and 5."""
    file.seek(14)
    header = file.read(124)
    (size,) = struct.unpack_from("<I", header)
    if size not in (108, 124):
        return DeclaredColours()
    kind = header[56:60][::-1]
    if kind == b"MBED" and size == 124:
        start, length = struct.unpack_from("<II", header, 112)
        file.seek(14 + start)
        return DeclaredColours(icc=file.read(length))
    if kind == b"LINK" and size == 124:
        raise ColourSpaceError("its profile is in another file")
    numbers = struct.unpack_from("<12I", header, 60)
    if kind != bytes(4) or not all(numbers[9:]) or not any(numbers[:9]):
        return DeclaredColours()
    red, green, blue = (
        (numbers[i] / sum(numbers[i : i + 3]), numbers[i + 1] / sum(numbers[i : i + 3]))
        if sum(numbers[i : i + 3])
        else (0.0, 0.0)
        for i in (0, 3, 6)
    )
    gamma = sum(numbers[9:]) / 3 / 65536
    return DeclaredColours(
        space=ColourSpace(ColourPrimaries(SRGB_PRIMARIES.white, red, green, blue), TransferCurve(gamma))
    )


_READERS: dict[str, Callable[[BinaryIO], DeclaredColours]] = {
    "PNG": _png_colours,
    "AVIF": _heif_colours,
    "HEIF": _heif_colours,
    "JPEG2000": _jp2_colours,
    "QOI": _qoi_colours,
    "BMP": _bmp_colours,
}
TOLD_BY_THE_FILE = frozenset(_READERS)
"""The formats whose colour declarations Pillow does not pass on completely."""


def _png_info_colours(info: dict[Any, Any]) -> ColourSpace | None:
    """Reads gAMA and cHRM of PNG, unless the chunk sRGB declares sRGB."""
    gamma, xy = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not (isinstance(gamma, float) or isinstance(xy, tuple)):
        return None
    primaries, curve = SRGB_PRIMARIES, SRGB_CURVE
    if isinstance(xy, tuple) and len(xy) == 8:
        primaries = ColourPrimaries(xy[0:2], xy[2:4], xy[4:6], xy[6:8])
    if isinstance(gamma, float):
        if not gamma > 0:
            raise ColourSpaceError(f"its gamma ({gamma:.5g}) is invalid")
        curve = TransferCurve(1 / gamma)
    return ColourSpace(primaries, curve)


def _tiff_colours(image: Image.Image) -> ColourSpace | None:
    """Reads the tags PrimaryChromaticities, WhitePoint and TransferFunction of TIFF."""
    if not isinstance(image, TiffImageFile):
        return None
    tags = image.tag_v2
    primaries, curve = SRGB_PRIMARIES, SRGB_CURVE
    xy, white = tags.get(Base.PrimaryChromaticities), tags.get(Base.WhitePoint)
    table = tags.get(Base.TransferFunction)
    if xy is None and table is None:
        return None
    try:
        if xy is not None:
            r, g, b = ((float(xy[i]), float(xy[i + 1])) for i in (0, 2, 4))
            point = SRGB_PRIMARIES.white if white is None else (float(white[0]), float(white[1]))
            primaries, curve = ColourPrimaries(point, r, g, b), TransferCurve(2.2)
        if table is not None:
            shades = 1 << tags.get(Base.BitsPerSample, (1,))[0]
            if len(table) not in (shades, 3 * shades):
                raise ColourSpaceError("its transfer function is damaged")
            if len(table) > shades and not table[:shades] == table[shades:-shades] == table[-shades:]:
                raise ColourSpaceError("it has a transfer function for each channel")
            knots = np.linspace(0, shades - 1, min(shades, _KNOTS)).round().astype(int)
            curve = TransferCurve(1.0, table=tuple(int(table[knot]) for knot in knots))
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ColourSpaceError(f"its description is damaged ({error})") from error
    return ColourSpace(primaries, curve)


def _exif_colours(image: Image.Image) -> ColourSpace | None:
    """Recognises Adobe RGB, the only colour space besides sRGB that EXIF can name."""
    try:
        entries = read_exif_directory(exif_held_by_image(image), IFD.Exif)
        named = entries.get(Base.ColorSpace) == 2
        option = entries.get(IFD.Interop, {}).get(Interop.InteropIndex) == "R03"
    except Exception:  # Pillow raises many exceptions for damaged EXIF, for which no picture is refused.
        return None
    return ADOBE_RGB if named or option else None
