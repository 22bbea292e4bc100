"""Pictures with EXIF and XMP."""

import io

import numpy as np
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from calotype.imaging import Picture, load_picture
from calotype.limits import Limits

COLOURS = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3) * 5
PREFIX = b"Exif\0\0"
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="harbour"/></x:xmpmeta>'


def exif(orientation: int | None = None, endian: str = "<") -> bytes:
    tags = Image.Exif()
    tags.endian = endian
    tags[Base.Make] = "Talbot"
    if orientation is not None:
        tags[Base.Orientation] = orientation
    tags[IFD.GPSInfo] = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (51.0, 24.0, 49.0)}
    tags[IFD.Exif] = {Base.ExposureTime: 60.0}
    return tags.tobytes()


def saved(format_: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, format_, **options)
    return file


def load(source: io.BytesIO | Image.Image) -> Picture:
    return load_picture(source, limits=Limits(), strict=True)


def parsed(data: bytes | None) -> Image.Exif:
    assert data is not None
    tags = Image.Exif()
    tags.load(PREFIX + data)
    return tags
