"""Metadata: ICC profile, EXIF and XMP."""

from __future__ import annotations

import copy
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from PIL import Image, ImageFile
from PIL.ExifTags import IFD, Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PsdImagePlugin import PsdImageFile

from calotype.imaging.png import imagemagick_raw_profile
from calotype.imaging.xmp import EXTENSION_PREFIX, XmpError, has_extended_xmp, join_extended_xmp

__all__ = [
    "DIRECTORIES",
    "EVERYTHING",
    "EXIF_PREFIX",
    "Metadata",
    "exif_held_by_image",
    "orientation_of",
    "read_exif",
    "read_exif_directory",
    "read_orientation",
    "read_xmp",
]

EXIF_PREFIX = b"Exif\0\0"
"""The bytes before EXIF in JPEG files and in Pillow's ``image.info["exif"]``."""

_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_SHORT = 3
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[0-9]")
_PSD_EXIF, _PSD_XMP = 1058, 1060

# In a TIFF file the directory of EXIF also has the layout of the pixels: these tags describe the picture.
_DESCRIPTIVE = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.XResolution,
    Base.YResolution,
    Base.ResolutionUnit,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.Copyright,
)
DIRECTORIES = (IFD.Exif, IFD.GPSInfo)
"""The directories of EXIF besides the main one."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Metadata:
    """The metadata of a picture; each field is None if the picture has no such data.

    ``icc`` is the profile of the source, if a decoded picture can be converted back to it (an RGB profile for
    a colour picture, a grey one for a grey picture). ``exif`` is a TIFF structure, without the ``Exif``
    prefix of JPEG; it may hold GPS coordinates. ``xmp`` is an XMP packet. If EXIF or XMP has an orientation,
    it is 1.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


EVERYTHING = tuple(field.name for field in fields(Metadata))
"""The names of all fields of :class:`Metadata`."""


def read_orientation(image: Image.Image) -> int:
    """Returns the orientation by which to turn the loaded ``image``, from EXIF or XMP: 1 to 8, 1 by default.

    The orientation applies only to an image as Pillow has opened it. An image that an operation of Pillow has
    returned keeps its ``info`` even if its pixels were turned: the result is 1 then.
    """
    if not isinstance(image, ImageFile.ImageFile):
        return 1
    return orientation_of(image)


def orientation_of(image: Image.Image) -> int:
    """Returns the orientation in EXIF or XMP of ``image``, 1 to 8, even if its pixels were turned."""
    try:
        exif = image.getexif()
        if Base.Orientation not in exif and (data := _hidden_exif(image)):
            exif = Image.Exif()
            exif.load(data)
        orientation = exif.get(Base.Orientation, 1)
    except Exception:  # Pillow raises many exceptions for damaged EXIF, for which no picture is refused.
        return 1
    return orientation if orientation in range(1, 9) else 1


def exif_held_by_image(image: Image.Image) -> Image.Exif:
    """Returns a copy of the EXIF of ``image`` for reading: ``get_ifd`` would change what is written later."""
    exif = image.getexif()
    try:
        return copy.deepcopy(exif)
    except TypeError:  # It reads from an open file, which cannot be copied.
        return exif


def read_exif_directory(exif: Image.Exif, directory: int) -> dict[int, Any]:
    """Returns the entries of a directory of ``exif`` and of its subdirectory, for writing with another
    ``Exif``."""
    # This is the offset of the subdirectory, or entries that were assigned, which get_ifd does not return.
    held = exif.get(directory)
    entries = dict(held if isinstance(held, dict) else exif.get_ifd(directory))
    if not isinstance(entries.get(IFD.Interop, {}), dict):
        entries[IFD.Interop] = exif.get_ifd(IFD.Interop)
    return entries


def read_exif(image: Image.Image, report: Report) -> bytes | None:
    """Returns EXIF of the loaded ``image`` as ``getexif`` gives it, with orientation 1.

    All other bytes are unchanged, unless the EXIF was changed in memory. ``report`` is called with the reason
    if EXIF is left out.
    """
    try:
        exif = _exif_bytes(image)
    except Exception as error:  # The exceptions are those of orientation_of.
        report(f"EXIF that is damaged and is left out: {error}")
        return None
    if not exif:
        return None
    upright = _exif_with_orientation_1(exif)
    if upright is None:
        report("EXIF that is damaged and is left out: it is no TIFF structure")
    return upright


def read_xmp(image: Image.Image, report: Report) -> bytes | None:
    """Returns the XMP packet of the loaded ``image`` with its extended XMP, and with orientation 1.

    ``report`` is called with a message for what is left out.
    """
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or _psd_resource(image, _PSD_XMP)
    try:
        xmp = xmp or imagemagick_raw_profile(image.info, "xmp") or _imagemagick_app1(image, _XMP_PREFIX)
    except ValueError as error:
        report(f"XMP that is left out: {error}")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if not xmp:
        return None
    if not isinstance(xmp, bytes):
        report("XMP that is left out: it is no text")
        return None
    if has_extended_xmp(xmp):
        try:
            xmp = join_extended_xmp(xmp, _xmp_extensions(image))
        except XmpError as error:
            report(f"extended XMP that is left out: {error}")
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _xmp_extensions(image: Image.Image) -> list[bytes]:
    if not isinstance(image, JpegImageFile):
        return []
    return [data for name, data in image.applist if name == "APP1" and data.startswith(EXTENSION_PREFIX)]


def _exif_bytes(image: Image.Image) -> bytes:
    """Returns EXIF without its prefix; empty if there is none. Raises the exceptions of Pillow."""
    exif = image.info.get("exif") or imagemagick_raw_profile(image.info, "exif") or _hidden_exif(image)
    if not isinstance(exif, bytes):
        return _exif_to_write(exif_held_by_image(image), _DESCRIPTIVE, DIRECTORIES)
    while exif.startswith(EXIF_PREFIX):
        exif = exif.removeprefix(EXIF_PREFIX)
    if exif and "exif" in image.info and _exif_with_orientation_1(exif) is not None:
        stored, held = Image.Exif(), exif_held_by_image(image)
        stored.load(exif)
        removed = [directory for directory in DIRECTORIES if directory in stored and directory not in held]
        if removed or _exif_content(stored) != _exif_content(held):
            tags = [tag for tag in held if tag not in DIRECTORIES]
            return _exif_to_write(
                held, tags, [directory for directory in DIRECTORIES if directory not in removed]
            )
    return exif


def _exif_content(exif: Image.Exif) -> str:
    """Returns all entries but the orientation as text, so that 0/0 equals 0/0."""
    exclude = (Base.Orientation, *DIRECTORIES)
    main = {tag: value for tag, value in exif.items() if tag not in exclude}
    directories = (read_exif_directory(exif, directory) for directory in DIRECTORIES)
    return repr([sorted(part.items()) for part in (main, *directories)])


def _exif_to_write(exif: Image.Exif, tags: Sequence[int], directories: Sequence[int]) -> bytes:
    kept_exif = Image.Exif()
    kept_exif.endian = exif.endian
    for tag in tags:
        if tag in exif:
            kept_exif[tag] = exif[tag]
    for directory in directories:
        if entries := read_exif_directory(exif, directory):
            kept_exif[directory] = entries
    return kept_exif.tobytes().removeprefix(EXIF_PREFIX) if kept_exif else b""


def _hidden_exif(image: Image.Image) -> bytes | None:
    """Returns EXIF from places that Pillow does not read. Raises ``ValueError`` if it is damaged."""
    return _psd_resource(image, _PSD_EXIF) or _imagemagick_app1(image, EXIF_PREFIX)


def _psd_resource(image: Image.Image, number: int) -> bytes | None:
    """Returns a resource of a PSD file."""
    if not isinstance(image, PsdImageFile):
        return None
    return next((data for id_, _, data in image.resources if id_ == number), None)


def _imagemagick_app1(image: Image.Image, prefix: bytes) -> bytes | None:
    """Returns the content of an APP1 segment in a PNG file of ImageMagick, if it has the given prefix."""
    data = imagemagick_raw_profile(image.info, "APP1")
    return data.removeprefix(prefix) if data is not None and data.startswith(prefix) else None


def _exif_with_orientation_1(exif: bytes) -> bytes | None:
    """Sets the orientation in ``exif`` to 1, in place, so that offsets in maker notes stay valid."""
    patched = bytearray(exif)
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        magic, start = struct.unpack_from(order + "HI", exif, 2)
        (entries,) = struct.unpack_from(order + "H", exif, start)
        for position in range(start + 2, start + 2 + 12 * entries, 12):
            (tag,) = struct.unpack_from(order + "H", exif, position)
            if tag == Base.Orientation:
                struct.pack_into(order + "HHIHH", patched, position, tag, _SHORT, 1, 1, 0)
    except (KeyError, struct.error):
        return None
    return bytes(patched) if magic == 42 else None
