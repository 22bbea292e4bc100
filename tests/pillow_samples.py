"""Pictures and metadata that the tests of the Pillow plugin share."""

import io

import numpy as np
from PIL import Image, ImageCms

import calotype
from calotype.imaging import Metadata, load_picture
from calotype.limits import Limits
from calotype.pillow_plugin import FORMAT

COLOURS = np.random.default_rng(2).integers(0, 256, (24, 40, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta>harbour</x:xmpmeta>"
FAST = {"model": "tiny", "effort": 1}


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[271] = "Talbot"
    tags[274] = orientation
    return tags


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, FORMAT, **FAST, **options)
    return file.getvalue()


def kept(data: bytes) -> Metadata:
    image = calotype.decode(data, model="tiny")
    return load_picture(image, limits=Limits(), strict=True).metadata


def file_with_metadata() -> bytes:
    """A file with all kinds of metadata."""
    image = Image.fromarray(COLOURS)
    image.putalpha(Image.fromarray(COLOURS[..., 0]))
    image.info = {"exif": exif().tobytes(), "icc_profile": SRGB, "xmp": XMP}
    return calotype.encode(image, keep_metadata=True, **FAST)
