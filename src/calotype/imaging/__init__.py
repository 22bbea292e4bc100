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
    luma,
    metadata_to_info,
    reduce_plane,
    resample_area,
    resample_picture,
    to_pillow_image,
)
from calotype.imaging.picture import Picture, load_picture
from calotype.imaging.provenance import Provenance
from calotype.imaging.source import PictureSource
from calotype.imaging.still import has_av1, pack_av1, pack_vp8, unpack_av1, unpack_vp8

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
    "has_av1",
    "load_picture",
    "luma",
    "metadata_to_info",
    "over_white",
    "pack_alpha",
    "pack_av1",
    "pack_picture",
    "pack_vp8",
    "reduce_plane",
    "resample_area",
    "resample_picture",
    "to_pillow_image",
    "unpack_alpha",
    "unpack_av1",
    "unpack_vp8",
    "with_metadata",
]
