"""Imaging: pictures of any source to upright 8-bit sRGB pixels for the codec, and back.

::

    path, stream,     ┌ source ┐        ┌ modes ┐           ┌ colour ┐          ┌ alpha ┐
    image, array  ────┤  open  ├─ Image ┤ split ├─ opaque ──┤  ICC   ├─ sRGB ───┤ fill  ├─ Picture
                      └ limits ┘        └───┬───┘           └────────┘          └───┬───┘
                                            └────────────── alpha ──────────────────┘

    pixels, alpha, metadata ── output ── PIL.Image.Image ── formats ── a file of another format
"""

from __future__ import annotations

from calotype.imaging.alpha import fill_hidden, over_white, pack_alpha, unpack_alpha
from calotype.imaging.attach_metadata import with_metadata
from calotype.imaging.colour import can_convert_to_profile
from calotype.imaging.formats import FORMAT_ALIASES, FORMATS, PictureFormat, pack_picture
from calotype.imaging.metadata import EVERYTHING, Metadata
from calotype.imaging.output import (
    metadata_to_info,
    reduce_plane,
    resample_area,
    resample_picture,
    to_pillow_image,
)
from calotype.imaging.picture import Picture, load_picture
from calotype.imaging.provenance import Provenance
from calotype.imaging.source import PictureSource

__all__ = [
    "EVERYTHING",
    "FORMATS",
    "FORMAT_ALIASES",
    "Metadata",
    "Picture",
    "PictureFormat",
    "PictureSource",
    "Provenance",
    "can_convert_to_profile",
    "fill_hidden",
    "load_picture",
    "metadata_to_info",
    "over_white",
    "pack_alpha",
    "pack_picture",
    "reduce_plane",
    "resample_area",
    "resample_picture",
    "to_pillow_image",
    "unpack_alpha",
    "with_metadata",
]
