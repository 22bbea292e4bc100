"""Writing decoded pictures in the formats that can hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import click
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from calotype.errors import OutputError

__all__ = ["FORMATS", "PictureFormat", "format_named", "pack_picture"]

_XMP_TAG = 700


@dataclass(frozen=True)
class PictureFormat:
    """A format to write: Pillow's name of it, whether it holds alpha, and how to keep its loss small."""

    pillow: str
    alpha: bool
    parameters: dict[str, Any] = field(default_factory=dict)


FORMATS = {
    "png": PictureFormat("PNG", True),
    "webp": PictureFormat("WEBP", True, {"lossless": True}),
    "tiff": PictureFormat("TIFF", True, {"compression": "tiff_adobe_deflate"}),
    "jpg": PictureFormat("JPEG", False, {"quality": 95, "subsampling": "4:4:4"}),
    "avif": PictureFormat("AVIF", True, {"quality": 95, "subsampling": "4:4:4"}),
    "jp2": PictureFormat("JPEG2000", True),
    "tga": PictureFormat("TGA", True),
    "bmp": PictureFormat("BMP", False),
    "ppm": PictureFormat("PPM", False),
}
"""By the extension that stands for them. Formats with fewer colours, such as GIF, are left out."""

_ALIASES = {"jpeg": "jpg", "tif": "tiff", "pnm": "ppm"}


def format_named(path: str) -> PictureFormat:
    """The format that the extension of ``path`` asks for; raises ``click.UsageError`` if none does."""
    extension = Path(path).suffix.lower().removeprefix(".")
    try:
        return FORMATS[_ALIASES.get(extension, extension)]
    except KeyError:
        known = ", ".join(FORMATS)
        raise click.UsageError(
            f"no picture format goes with the name '{path}': end it with one of {known}, or use --format"
        ) from None


def pack_picture(image: Image.Image, picture_format: PictureFormat) -> bytes:
    """``image`` in the given format, with the EXIF, XMP and ICC data of its ``info`` where that holds them.

    Raises :class:`OutputError` if the format cannot hold the picture.
    """
    content = BytesIO()
    parameters = picture_format.parameters | _metadata(image, picture_format)
    try:
        image.save(content, picture_format.pillow, **parameters)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot be written as {picture_format.pillow} ({error})") from error
    return content.getvalue()


def _metadata(image: Image.Image, picture_format: PictureFormat) -> dict[str, Any]:
    found = {name: image.info[name] for name in ("exif", "icc_profile", "xmp") if image.info.get(name)}
    xmp = found.get("xmp")
    if xmp and picture_format.pillow == "PNG":
        found["pnginfo"] = PngInfo()
        found["pnginfo"].add_itxt("XML:com.adobe.xmp", found.pop("xmp").decode("utf-8", "replace"))
    elif xmp and picture_format.pillow == "TIFF":
        found["exif"] = image.getexif()
        found["exif"][_XMP_TAG] = found.pop("xmp")
    return found
