"""Conversion of decoded pixels to a Pillow image of the size to show."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.errors import CalotypeWarning
from calotype.imaging.colour import ProfileError, from_srgb
from calotype.imaging.metadata import EXIF_PREFIX, Metadata

__all__ = ["luma", "metadata_to_info", "reduce_plane", "resample_area", "resample_picture", "to_pillow_image"]


def resample_picture(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resamples uint8[h, w, 3] to uint8[height, width, 3] by Lanczos' kernel of 3 lobes, edges aligned."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return resample_area(rgb, width, height, (0, 0, rgb.shape[1], rgb.shape[0]))


def resample_area(
    rgb: NDArray[np.uint8], width: int, height: int, area: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """Resamples an ``area`` (left, top, right, bottom) of uint8[h, w, 3] to uint8[height, width, 3].

    The kernel is that of :func:`resample_picture`. It uses pixels beyond the area where there are any.
    """
    left, top, right, bottom = area
    # Pillow would begin with the axis that takes fewer operations. Values are rounded and clipped to
    # 8 bits in between, so that a part of a picture would differ from the same part of the whole.
    rows = Image.fromarray(rgb).resize(
        (width, len(rgb)), Image.Resampling.LANCZOS, box=(left, 0, right, len(rgb))
    )
    return np.asarray(rows.resize((width, height), Image.Resampling.LANCZOS, box=(0, top, width, bottom)))


def reduce_plane(plane: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Returns the means of ``factor`` x ``factor`` pixels of uint8[H, W]; sizes are rounded up."""
    return plane if factor == 1 else np.asarray(Image.fromarray(plane).reduce(factor))


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the luma int64[H, W], 0 to 255, of sRGB pixels uint8[H, W, 3], as for a grey picture."""
    return np.asarray(Image.fromarray(rgb).convert("L")).astype(np.int64)


def to_pillow_image(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None = None,
    grey: bool = False,
    metadata: Metadata | None = None,
) -> Image.Image:
    """Makes a Pillow image of pixels ``rgb`` uint8[H, W, 3] in sRGB and ``alpha`` uint8[H, W].

    Its mode is RGB, RGBA, L or LA. With ``grey`` only the luma is kept. If ``metadata`` has an ICC profile,
    the pixels are converted to it; a profile that cannot be used is left out with a
    :class:`CalotypeWarning`. Profile, EXIF and XMP are ``icc_profile``, ``exif`` and ``xmp`` in
    ``image.info``, as after Pillow's readers.
    """
    metadata = metadata or Metadata()
    image = Image.fromarray(rgb)
    if grey:
        image = image.convert("L")
    profile = metadata.icc
    if profile is not None:
        try:
            image = from_srgb(image, profile)
        except ProfileError as error:
            warnings.warn(
                f"the ICC profile is left out, the colours are sRGB: {error}", CalotypeWarning, stacklevel=2
            )
            profile = None
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    image.info = metadata_to_info(replace(metadata, icc=profile))
    return image


def metadata_to_info(metadata: Metadata) -> dict[str | tuple[int, int], Any]:
    """Returns ``metadata`` under the keys of ``image.info``."""
    exif = None if metadata.exif is None else EXIF_PREFIX + metadata.exif
    info = {"icc_profile": metadata.icc, "exif": exif, "xmp": metadata.xmp}
    return {key: value for key, value in info.items() if value is not None}
