"""The work on one picture: read, encode, measure. Every engine runs this, with one codec per process."""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

import calotype
from calotype.archive.schema import Row
from calotype.archive.sources.item import Item
from calotype.compare.metrics import Psnr, Ssimulacra2
from calotype.compare.metrics.base import UnmeasurableError
from calotype.errors import CalotypeError, CalotypeWarning, ModelError, OutOfMemoryError
from calotype.imaging import load_picture
from calotype.options import DEFAULT_BACKEND, DEFAULT_QUALITY, EncodeOptions

__all__ = ["SCORES", "Encoded", "Encoder", "Failure", "Work", "codec_of", "failure_of"]

SCORES = ("psnr", "ssimulacra2")
"""The metrics that can be stored with each picture."""


@dataclass(frozen=True)
class Work:
    """The options of the work on each picture.

    ``scores`` are names of :data:`SCORES`. A picture whose decoded pixels have a root-mean-square error above
    ``keep_originals_over``, in units of 1/255, keeps its original bytes instead. ``thumbnail`` is the longest
    side, in pixels, of a JPEG preview; with None there is no preview. Raises ``ValueError``.
    """

    options: EncodeOptions = field(default_factory=EncodeOptions)
    backend: str = DEFAULT_BACKEND
    scores: tuple[str, ...] = ()
    keep_originals_over: float | None = None
    thumbnail: int | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.scores if name not in SCORES]:
            raise ValueError(f"scores (={unknown[0]!r}) must be of {', '.join(SCORES)}")
        if self.keep_originals_over is not None and not self.keep_originals_over >= 0:
            raise ValueError(f"keep_originals_over (={self.keep_originals_over}) must be at least 0")
        if self.thumbnail is not None and self.thumbnail < 1:
            raise ValueError(f"thumbnail (={self.thumbnail}) must be a positive number of pixels")


@dataclass(frozen=True)
class Failure:
    """The reason why a picture is not in the archive: the class of the error, and a sentence."""

    kind: str
    reason: str


def failure_of(error: Exception) -> Failure:
    """Returns the class and a sentence of an error that concerns one picture."""
    if isinstance(error, CalotypeError):
        return Failure(type(error).__name__, str(error).replace("\n", " "))
    if isinstance(error, MemoryError):
        return Failure(OutOfMemoryError.__name__, str(error) or "there is not enough memory")
    return Failure("InternalError", f"internal error, please report it: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Encoded:
    """The row of a picture."""

    row: Row


def codec_of(work: Work) -> calotype.Codec:
    """Returns a codec with one thread."""
    diffusion = work.options.diffusion
    return calotype.Codec(1, work.backend, diffusion.device, diffusion.dtype)


class Encoder:
    """Makes the row of a picture, with a given codec or one of its own with one thread."""

    def __init__(self, work: Work, codec: calotype.Codec | None = None) -> None:
        self._work = work
        self._codec = codec or codec_of(work)
        self._psnr = Psnr()
        self._ssimulacra2 = _ssimulacra2() if "ssimulacra2" in work.scores else None

    def __call__(self, item: Item) -> Encoded | Failure:
        """Returns the row of ``item``, or its failure; errors of a picture are not raised."""
        try:
            data = item.read(self._work.options.limits)
            return Encoded(self.row(item, data))
        except Exception as error:
            return failure_of(error)

    def row(self, item: Item, data: bytes) -> Row:
        """Returns the row of a picture whose file is ``data``. Raises :class:`CalotypeError`."""
        options = self._work.options
        started = perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            payload = self._codec.encode(_named_stream(data, item.name), options)
            seconds = perf_counter() - started
            info = calotype.read_info(payload, limits=options.limits)
            scores, thumbnail, error = self._measured(data, payload)
        keep = self._work.keep_originals_over
        original = keep is not None and error > keep
        rate_given = options.target_size is not None or options.bpp is not None or options.recipe == "palette"
        row: Row = {
            "id": item.id,
            "name": item.name,
            "uri": item.uri,
            "width": info.width,
            "height": info.height,
            "source_bytes": len(data),
            "source_sha256": hashlib.sha256(data).hexdigest(),
            "payload": None if original else payload,
            "payload_bytes": 0 if original else len(payload),
            "payload_sha256": None if original else hashlib.sha256(payload).hexdigest(),
            "original": data if original else None,
            "duplicate_of": None,
            "quality": None if rate_given else _archive_quality(options),
            "target_size": options.target_size,
            "bpp": options.bpp,
            "level": info.level,
            "coded_width": info.coded_width,
            "coded_height": info.coded_height,
            "model": info.encoder,
            "context_model": info.context_model,
            "format_version": info.format_version,
            "seconds": seconds,
            "thumbnail": thumbnail,
            "warnings": _warning_sentences(caught),
            "software": f"calotype {calotype.__version__}",
        }
        return row | {name: scores.get(name) for name in SCORES}

    def _measured(self, data: bytes, payload: bytes) -> tuple[dict[str, float], bytes | None, float]:
        """Returns (scores by name, thumbnail, root-mean-square error in 1/255)."""
        work, scores, thumbnail = self._work, dict[str, float](), None
        measures = bool(work.scores) or work.keep_originals_over is not None
        if not measures and work.thumbnail is None:
            return scores, thumbnail, 0.0
        picture = load_picture(io.BytesIO(data), limits=work.options.limits, strict=False, keep=())
        if work.thumbnail is not None:
            thumbnail = _jpeg_thumbnail(picture.rgb, work.thumbnail)
        if not measures:
            return scores, thumbnail, 0.0
        decoded = self._codec.decode(payload, limits=work.options.limits, as_array=True)
        shown = decoded[..., :3] if decoded.ndim == 3 and decoded.shape[2] >= 3 else decoded
        if shown.ndim == 2 or shown.shape[2] < 3:
            shown = np.repeat(shown.reshape(*shown.shape[:2], -1)[..., :1], 3, axis=2)
        psnr = self._psnr(picture.rgb, shown)
        error = 0.0 if math.isinf(psnr) else 255 / 10 ** (psnr / 20)
        if "psnr" in work.scores:
            scores["psnr"] = psnr
        if self._ssimulacra2 is not None:
            with suppress(UnmeasurableError):  # The column of a picture that is too small stays empty.
                scores["ssimulacra2"] = float(self._ssimulacra2(picture.rgb, shown))
        return scores, thumbnail, error


def _ssimulacra2() -> Ssimulacra2:
    try:
        return Ssimulacra2()
    except ModelError as error:
        raise ModelError(f"the score ssimulacra2 {error}") from error


def _archive_quality(options: EncodeOptions) -> float:
    return DEFAULT_QUALITY if options.quality is None else float(options.quality)


class _NamedStream(io.BytesIO):
    """A stream in memory, with a name for messages."""

    name = ""


def _named_stream(data: bytes, name: str) -> _NamedStream:
    stream = _NamedStream(data)
    stream.name = name
    return stream


def _jpeg_thumbnail(rgb: np.ndarray[Any, np.dtype[np.uint8]], side: int) -> bytes:
    """Returns a JPEG file of ``rgb`` uint8[H, W, 3], whose longest side has at most ``side`` pixels."""
    image = Image.fromarray(rgb)
    image.thumbnail((side, side))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=80)
    return content.getvalue()


def _warning_sentences(caught: list[warnings.WarningMessage]) -> str | None:
    sentences = [str(warning.message) for warning in caught if issubclass(warning.category, CalotypeWarning)]
    return "; ".join(dict.fromkeys(sentences)) or None
