"""Calotype: photographs as a few kilobytes of Stable Diffusion latents.

>>> import calotype
>>> data = calotype.encode("photo.jpg", target_size=5000)  # doctest: +SKIP
>>> calotype.decode(data).save("photo.png")  # doctest: +SKIP
"""

from __future__ import annotations

from calotype import telemetry as _telemetry
from calotype.codec import Codec, ProgressiveDecoder, decode, encode, read_info, thumbnail
from calotype.errors import CalotypeError, CalotypeWarning, PartialPictureWarning
from calotype.info import Info
from calotype.latent_files import read_latents, write_latents
from calotype.limits import Limits
from calotype.options import DecodeOptions, DiffusionOptions, EncodeOptions, Roi
from calotype.pillow_plugin import register_pillow
from calotype.version import __version__

_telemetry.switch_off()  # before any of the packages that it is about: importing this one loads none of them

__all__ = [
    "CalotypeError",
    "CalotypeWarning",
    "Codec",
    "DecodeOptions",
    "DiffusionOptions",
    "EncodeOptions",
    "Info",
    "Limits",
    "PartialPictureWarning",
    "ProgressiveDecoder",
    "Roi",
    "__version__",
    "decode",
    "encode",
    "read_info",
    "read_latents",
    "register_pillow",
    "thumbnail",
    "write_latents",
]
