"""What travels with the pixels: ICC profile, EXIF and XMP."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from PIL import Image
from PIL.ExifTags import IFD, Base

__all__ = ["EXIF_PREFIX", "Metadata", "read_exif", "read_orientation", "read_xmp"]

EXIF_PREFIX = b"Exif\0\0"
"""What stands before EXIF in JPEG files and in Pillow's ``image.info["exif"]``."""

_SHORT = 3
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[0-9]")

# In a TIFF file EXIF shares its directory with the layout of the pixels: only these describe the picture.
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


@dataclass(frozen=True)
class Metadata:
    """Each None if the picture has none.

    ``icc``: the profile that the source was in, if a decoded picture can be converted back to it (an RGB
    profile for a colour picture, a grey one for a grey picture). ``exif``: a TIFF structure, without the
    ``Exif`` prefix of JPEG; it may hold GPS coordinates. ``xmp``: an XMP packet. Both say orientation 1
    if they name an orientation.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation (or that in XMP), 1 to 8; 1 if there is none that makes sense. ``image`` is loaded."""
    try:
        orientation = image.getexif().get(Base.Orientation, 1)
    except Exception:  # damaged EXIF, which Pillow reports in many ways, must not cost the picture
        return 1
    return orientation if orientation in range(1, 9) else 1


def read_exif(image: Image.Image) -> bytes | None:
    """EXIF of the loaded ``image``, its orientation reset, everything else as it was; None if unreadable."""
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):
        exif = _descriptive_exif(image)
    while exif.startswith(EXIF_PREFIX):
        exif = exif.removeprefix(EXIF_PREFIX)
    return _upright(exif)


def read_xmp(image: Image.Image) -> bytes | None:
    """XMP packet of ``image``, its orientation reset, everything else as it was."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp) if isinstance(xmp, bytes) else None


def _descriptive_exif(image: Image.Image) -> bytes:
    """EXIF of an image, such as TIFF, that comes without the bytes; empty if it has none."""
    try:
        found, kept = image.getexif(), Image.Exif()
        for tag in _DESCRIPTIVE:
            if tag in found:
                kept[tag] = found[tag]
        for directory in (IFD.Exif, IFD.GPSInfo):
            if entries := found.get_ifd(directory):
                kept[directory] = entries
        return kept.tobytes() if kept else b""
    except Exception:  # as in read_orientation
        return b""


def _upright(exif: bytes) -> bytes | None:
    """``exif`` with orientation 1, patched in place so that offsets in maker notes stay valid."""
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
