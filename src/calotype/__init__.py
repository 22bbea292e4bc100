"""Calotype: photographs as a few kilobytes of Stable Diffusion latents.

>>> import calotype
>>> data = calotype.encode("photo.jpg", target_size=5000)  # doctest: +SKIP
>>> calotype.decode(data).save("photo.png")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calotype import telemetry as _telemetry
from calotype.errors import CalotypeError, CalotypeWarning, PartialPictureWarning
from calotype.lazy import lazy_names
from calotype.limits import Limits
from calotype.options import DecodeOptions, DiffusionOptions, EncodeOptions, Roi
from calotype.version import __version__

if TYPE_CHECKING:
    from calotype import container as container
    from calotype import models as models
    from calotype.codec import Codec, ProgressiveDecoder, decode, encode, thumbnail, verify
    from calotype.fidelity import Fidelity, FidelityRegion
    from calotype.info import Info, read_info
    from calotype.latent_files import read_latents, write_latents
    from calotype.pillow_plugin import register_pillow
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "codec": ("Codec", "ProgressiveDecoder", "decode", "encode", "thumbnail", "verify"),
            "container": (),
            "fidelity": ("Fidelity", "FidelityRegion"),
            "info": ("Info", "read_info"),
            "latent_files": ("read_latents", "write_latents"),
            "models": (),
            "pillow_plugin": ("register_pillow",),
        },
    )

# This comes before the import of any package with telemetry: importing this one loads none of them.
_telemetry.switch_off()

__all__ = [
    "CalotypeError",
    "CalotypeWarning",
    "Codec",
    "DecodeOptions",
    "DiffusionOptions",
    "EncodeOptions",
    "Fidelity",
    "FidelityRegion",
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
    "verify",
    "write_latents",
]
