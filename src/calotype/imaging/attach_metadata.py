"""Images with other metadata than their own."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageFile

from calotype.imaging.metadata import orientation_of

__all__ = ["with_metadata"]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def with_metadata(image: Image.Image, metadata: Mapping[str, bytes]) -> Image.Image:
    """Returns the loaded ``image`` with ``metadata`` (``icc_profile``, ``exif``, ``xmp``) instead of its own.

    The result shares its pixels with ``image``, which does not change, and has the same format.
    The orientation in the given EXIF or XMP always applies to the pixels of ``image``, also if the image was
    not opened from a file.
    """
    result = type(image).__new__(type(image))
    result.__dict__ = image.__dict__ | {"info": image.info.copy()}
    result.info.update(metadata.items())
    if "exif" in metadata or "exif" in image.info:
        result._exif = None  # getexif reads it again.
    if isinstance(image, ImageFile.ImageFile) or not metadata.keys() & {"exif", "xmp"}:
        return result
    probe = Image.Image()
    probe.info.update(metadata.items())
    orientation = orientation_of(probe)
    return result if orientation == 1 else result.transpose(_TURNS[orientation])
