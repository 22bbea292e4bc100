"""The codecs that are compared, by name. A new one needs a small file and a line in ``CODECS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from calotype.compare.codecs.avif import avif
from calotype.compare.codecs.base import Codec, Coded, UncodableError, decode_with_pillow, largest_file_within
from calotype.compare.codecs.calotype import CalotypeCodec
from calotype.compare.codecs.jpeg import jpeg
from calotype.compare.codecs.jxl import jpeg_xl
from calotype.compare.codecs.palette import PaletteCodec
from calotype.compare.codecs.pillow import PillowCodec
from calotype.compare.codecs.webp import webp
from calotype.errors import CalotypeError
from calotype.options import DiffusionOptions

__all__ = [
    "CODECS",
    "OURS",
    "CalotypeCodec",
    "Codec",
    "Coded",
    "PaletteCodec",
    "PillowCodec",
    "UncodableError",
    "avif",
    "codec_makers",
    "decode_with_pillow",
    "jpeg",
    "jpeg_xl",
    "largest_file_within",
    "webp",
]

CODECS: dict[str, Callable[[int | None, str, DiffusionOptions], Codec]] = {
    "jpeg": lambda threads, model, diffusion: jpeg(),
    "webp": lambda threads, model, diffusion: webp(),
    "avif": lambda threads, model, diffusion: avif(),
    "jxl": lambda threads, model, diffusion: jpeg_xl(),
    "palette": PaletteCodec,
}
"""The constructors of the codecs. Their arguments are the number of threads (None: any number) and, for those
that code latents, the model and the options of Stable Diffusion models."""

OURS = "calotype-"
"""The beginning of the names of Calotype's columns; the name of the model follows."""


def codec_makers(
    models: Sequence[str],
    codecs: Sequence[str],
    threads: int | None = None,
    diffusion: DiffusionOptions | None = None,
) -> dict[str, Callable[[], Codec]]:
    """Returns a function that makes each codec, by the name of its column: ``models`` first, then ``codecs``.

    The function raises :class:`ModelError` if the codec cannot run here. Raises :class:`CalotypeError` for an
    unknown codec.
    """
    diffusion = diffusion or DiffusionOptions()
    makers: dict[str, Callable[[], Codec]] = {
        OURS + model: partial(CalotypeCodec, threads, model, diffusion) for model in models
    }
    for name in codecs:
        if name not in CODECS:
            raise CalotypeError(f"unknown codec {name!r}: there are {', '.join(CODECS)}")
        makers[name] = partial(CODECS[name], threads, models[0] if models else "pocket", diffusion)
    return makers
