"""Codings of latents: the palette coding of 2022, stage by stage, and the variants of the article."""

from __future__ import annotations

import io
import zlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.errors import ModelError
from calotype.latents import SD1, palette

__all__ = ["ALSO", "Variant", "coding_variants", "lowest_quality_of_size", "palette_stages"]

Pixels = NDArray[np.uint8]

ALSO = ("bits", "jpeg", "webp", "webp-lossless", "imagequant")
"""The names of the variants that can be tried beside the palette coding."""


@dataclass(frozen=True, eq=False)
class Variant:
    """Decoded latents float32[4, h, w] and their size in bytes; ``name`` is valid as a file name."""

    name: str
    title: str
    size: int
    latents: NDArray[np.float32]


def coding_variants(latents: NDArray[np.float32], also: Collection[str] = ()) -> Iterator[Variant]:
    """Yields the stages of the palette coding, and the variants in ``also``, for latents float32[4, h, w].

    Lossy formats get the lowest quality whose file is at least as large as the palette coding's, as in the
    article. ``also`` names variants of :data:`ALSO`. Raises :class:`ModelError` if libimagequant is named and
    not installed.
    """
    pixels = palette.latents_to_bytes(latents)
    stages = list(palette_stages(latents, pixels))
    yield from stages
    least = stages[-1].size
    if "bits" in also:
        yield from (_keep_upper_bits(pixels, bits) for bits in range(7, 1, -1))
    if "jpeg" in also:
        yield _lossy_grey_picture(
            pixels, "jpeg", "latents as JPEG", lambda image: lowest_quality_of_size(image, "JPEG", least)
        )
    if "webp" in also:
        yield _lossy_grey_picture(
            pixels, "webp", "latents as WebP", lambda image: lowest_quality_of_size(image, "WEBP", least)
        )
    if "webp-lossless" in also:
        yield _lossy_grey_picture(
            pixels,
            "webp-lossless",
            "latents as lossless WebP",
            lambda image: _save_with_pillow(image, "WEBP", lossless=True, quality=100, method=6),
        )
    if "imagequant" in also:
        yield _by_imagequant(pixels)


def palette_stages(latents: NDArray[np.float32], pixels: Pixels) -> Iterator[Variant]:
    """Yields the stages of the palette coding; ``pixels`` uint8[h, w, 4] are the latents in 8 bits."""
    colours = palette.choose_palette(pixels)
    yield Variant("vae", "VAE round trip, 32-bit latents", latents.nbytes, latents)
    yield Variant("bits-8", "8-bit latents", pixels.nbytes, _latents_of_pixels(pixels))
    for name, title, choose in (
        ("plain", "256 colours, no dithering", palette.nearest_in_palette),
        ("dithered", "256 colours, dithered", palette.dither_to_palette),
    ):
        indices = choose(pixels, colours)
        back = _latents_of_pixels(colours[indices])
        yield Variant(f"palette-{name}", title, colours.nbytes + indices.nbytes, back)
        yield Variant(
            f"zlib-{name}", f"{title}, zlib", len(palette.pack_palette_payload(colours, indices)), back
        )


def lowest_quality_of_size(image: Image.Image, format_name: str, least: int) -> bytes:
    """Returns ``image`` in a lossy format of Pillow, at the lowest quality that takes at least ``least``
    bytes.

    If none does, the result is the file of the highest quality.
    """

    @cache
    def encode(quality: int) -> bytes:
        return _save_with_pillow(image, format_name, quality=quality, **_BEST[format_name])

    qualities = range(1, 101)
    first = bisect_left(qualities, True, key=lambda quality: len(encode(quality)) >= least)
    return encode(qualities[min(first, len(qualities) - 1)])


_BEST: dict[str, dict[str, Any]] = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}}


def _keep_upper_bits(pixels: Pixels, bits: int) -> Variant:
    """Returns the variant with the upper bits only: packed without gaps, compressed by zlib.

    They are decoded to the middle of their interval.
    """
    lost_bits = 8 - bits
    kept_bits = (pixels >> lost_bits).astype(np.uint8)
    packed = np.packbits(np.unpackbits(kept_bits[..., None], axis=-1)[..., lost_bits:])
    middle = ((kept_bits << lost_bits) + (1 << lost_bits >> 1)).astype(np.uint8)
    size = len(zlib.compress(packed.tobytes(), 9))
    return Variant(f"bits-{bits}", f"{bits}-bit latents, zlib", size, _latents_of_pixels(middle))


def _lossy_grey_picture(
    pixels: Pixels, name: str, title: str, encode: Callable[[Image.Image], bytes]
) -> Variant:
    """Returns the four channels as one grey picture, two by two, in the format that ``encode`` writes."""
    planes = pixels.transpose(2, 0, 1)
    data = encode(Image.fromarray(np.block([[planes[0], planes[1]], [planes[2], planes[3]]])))
    with Image.open(io.BytesIO(data)) as image:
        grey = np.asarray(image.convert("L"))
    height, width = pixels.shape[:2]
    back = grey.reshape(2, height, 2, width).transpose(1, 3, 0, 2).reshape(pixels.shape)
    return Variant(f"latents-{name}", title, len(data), _latents_of_pixels(back))


def _by_imagequant(pixels: Pixels) -> Variant:
    """Returns the coding with libimagequant, as in 2022, which treats the fourth channel as opacity."""
    try:
        import imagequant
    except ImportError as error:
        raise ModelError("libimagequant is missing: pip install imagequant") from error
    height, width = pixels.shape[:2]
    raw, flat = imagequant.quantize_raw_rgba_bytes(pixels.tobytes(), width, height)
    indices = np.frombuffer(raw, np.uint8).reshape(height, width)
    colour_table = np.array(flat, np.uint8).reshape(-1, SD1.channels)
    colours = np.pad(colour_table, ((0, palette.COLOURS - len(colour_table)), (0, 0)), mode="edge")
    size = len(palette.pack_palette_payload(colours, indices))
    return Variant(
        "imagequant", "256 colours by libimagequant, zlib", size, _latents_of_pixels(colours[indices])
    )


def _save_with_pillow(image: Image.Image, format_name: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **settings)
    return file.getvalue()


def _latents_of_pixels(pixels: Pixels) -> NDArray[np.float32]:
    return palette.latents_from_bytes(pixels.transpose(2, 0, 1))
