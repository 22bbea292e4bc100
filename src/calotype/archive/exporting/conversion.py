"""The conversion of pictures for an export: to the stored file, to another picture format, or to latents.

Worker processes run this, with one codec and one thread each.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass, field
from typing import Literal

import calotype
from calotype.archive.engines.encoder import Failure, failure_of
from calotype.container import EXTENSION
from calotype.errors import ChecksumError
from calotype.imaging import FORMATS, load_picture, pack_picture, to_pillow_image
from calotype.latent_files import CACHE_FORMATS, CachedLatents, pack_cache
from calotype.options import DEFAULT_BACKEND, DecodeOptions

__all__ = ["EXPORT_FORMATS", "STORED", "Content", "Conversion", "Converter"]

STORED = EXTENSION.removeprefix(".")
"""The format that leaves a picture as the archive stores it."""

EXPORT_FORMATS = (STORED, *FORMATS, *CACHE_FORMATS)
"""The formats of exports."""


@dataclass(frozen=True)
class Conversion:
    """The conversion of each picture.

    ``format`` is one of :data:`EXPORT_FORMATS`: "calo" for the file as it is stored, the extension of a
    picture format, or "npz" or "safetensors" for latents. ``decode`` are the options of the decoder, and
    ``backend`` is the runtime of its networks. Latents are written as ``dtype``, multiplied by 0.18215 if
    ``scaled``, and as conditional means if ``conditional_mean``. Raises ``ValueError``.
    """

    format: str = STORED
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    backend: str = DEFAULT_BACKEND
    dtype: Literal["float32", "float16"] = "float32"
    scaled: bool = False
    conditional_mean: bool = False

    def __post_init__(self) -> None:
        if self.format not in EXPORT_FORMATS:
            raise ValueError(f"format (={self.format!r}) must be one of {', '.join(EXPORT_FORMATS)}")
        if self.dtype not in ("float32", "float16"):
            raise ValueError(f"dtype (={self.dtype!r}) must be float32 or float16")

    @property
    def makes_latents(self) -> bool:
        """Returns whether latents are written. Pictures that kept their original have none."""
        return self.format in CACHE_FORMATS


@dataclass(frozen=True)
class Content:
    """The stored content of a picture: a ``payload`` with its SHA-256, or the ``original``."""

    payload: bytes | None
    payload_sha256: str | None
    original: bytes | None


class Converter:
    """Makes the exported file of a picture; holds one codec with one thread."""

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        diffusion = conversion.decode.diffusion
        self._codec = calotype.Codec(1, conversion.backend, diffusion.device, diffusion.dtype)

    def __call__(self, content: Content) -> bytes | Failure:
        """Returns the file, or the failure of the picture; errors of a picture are not raised."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", calotype.CalotypeWarning)
                return self._converted(content)
        except Exception as error:
            return failure_of(error)

    def _converted(self, content: Content) -> bytes:
        conversion, payload = self._conversion, content.payload
        if payload is not None and hashlib.sha256(payload).hexdigest() != content.payload_sha256:
            raise ChecksumError("the payload does not match its SHA-256")
        if conversion.format == STORED:
            return payload if payload is not None else content.original or b""
        if conversion.makes_latents:
            return self._latents(payload or b"")
        picture_format = FORMATS[conversion.format]
        if payload is not None:
            return pack_picture(self._codec.decode(payload, conversion.decode), picture_format)
        picture = load_picture(
            io.BytesIO(content.original or b""), limits=conversion.decode.limits, strict=False, keep=()
        )
        image = to_pillow_image(picture.rgb, picture.alpha, picture.grey)
        factor = conversion.decode.reduce
        return pack_picture(image if factor == 1 else image.reduce(factor), picture_format)

    def _latents(self, payload: bytes) -> bytes:
        conversion, limits = self._conversion, self._conversion.decode.limits
        info = calotype.read_info(payload, limits=limits)
        values = calotype.read_latents(payload, conditional_mean=conversion.conditional_mean, limits=limits)
        latents = CachedLatents(values, info.coded_width, info.coded_height)
        return pack_cache(latents, conversion.format, dtype=conversion.dtype, scaled=conversion.scaled)
