"""The stages of the codec on one picture, from pixels to bytes and back, each with its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import calotype
from calotype.codec import ImageLike
from calotype.compare.contest import read_pixels
from calotype.container import Coding, parse_file
from calotype.decoding import decode_latents
from calotype.encoding.prepare import network_input
from calotype.entropy import CodingPass, SymbolDecoder
from calotype.errors import UnsupportedError
from calotype.latents import CHANNEL_OFFSETS, STEPS
from calotype.limits import ANY_SIZE, Limits
from calotype.models import load_context_model, load_encoder
from calotype.models.tiling import encode_tiled
from calotype.options import DecodeOptions, DiffusionOptions, EncodeOptions

__all__ = ["Stages", "bit_map", "encode_in_stages"]


@dataclass(frozen=True, eq=False)
class Stages:
    """The data of each stage.

    ``original`` and ``decoded`` are uint8[H, W, 3], ``latents`` scaled float32[4, h, w] and ``integers``
    int16[4, h, w]. ``bits`` float32[h, w] are the bits of each position. ``data`` is the whole file.
    """

    original: NDArray[np.uint8]
    latents: NDArray[np.float32]
    integers: NDArray[np.int16]
    bits: NDArray[np.float32]
    data: bytes
    decoded: NDArray[np.uint8]

    @property
    def order0_bytes(self) -> int:
        """Returns the size of the integers without the context model: the order-0 entropy of each channel."""
        bits = 0.0
        for plane in self.integers:
            counts = np.unique(plane, return_counts=True)[1]
            bits -= float((counts * np.log2(counts / plane.size)).sum())
        return round(bits / 8)


def encode_in_stages(
    image: ImageLike,
    *,
    target_size: int = 5000,
    model: str = "pocket",
    diffusion: DiffusionOptions | None = None,
    limits: Limits | None = None,
) -> Stages:
    """Encodes ``image`` to at most ``target_size`` bytes, decodes it, and keeps the intermediate data.

    ``diffusion`` has the options of ``model`` if it is a Stable Diffusion model. Raises :class:`SourceError`,
    :class:`LimitError`, :class:`TargetSizeError`, :class:`ModelError`.
    """
    rgb = read_pixels(image, limits)
    codec, diffusion = calotype.Codec(), diffusion or DiffusionOptions()
    encoding = EncodeOptions(target_size=target_size, model=model, diffusion=diffusion, limits=ANY_SIZE)
    decoding = DecodeOptions(model=model, diffusion=diffusion, limits=ANY_SIZE)
    data = codec.encode(rgb, encoding)
    integers, bits = _decode_with_bit_meter(data, ANY_SIZE)
    pixels = network_input(rgb, parse_file(data, limits=ANY_SIZE).header)
    return Stages(
        original=rgb,
        latents=encode_tiled(load_encoder(model, diffusion=diffusion), pixels),
        integers=integers,
        bits=bits,
        data=data,
        decoded=np.asarray(codec.decode(data, decoding).convert("RGB")),
    )


def bit_map(data: bytes, limits: Limits | None = None) -> NDArray[np.float32]:
    """Returns the bits float32[h, w] of each latent position of a .calo file, over its four channels.

    Their sum is the ideal length of the payload. Raises :class:`FormatError`, :class:`LimitError`, and
    :class:`UnsupportedError` for a file that has no context model.
    """
    return _decode_with_bit_meter(data, limits or Limits())[1]


def _decode_with_bit_meter(data: bytes, limits: Limits) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Returns the integers int16[4, h, w] of a file, and the bits float32[h, w] that each position takes."""
    parsed = parse_file(data, limits=limits)
    if parsed.header.coding != Coding.HIERARCHICAL:
        raise UnsupportedError("only files in the hierarchical coding have bits for each position")
    levels = decode_latents(parsed).levels
    context_model = load_context_model(parsed.header.context_model)
    tables = context_model.tables
    decoder, bits = SymbolDecoder(tables, parsed.payload), np.zeros(levels.shape, np.float32)
    coding = CodingPass(context_model, levels, STEPS, CHANNEL_OFFSETS)
    while (prediction := coding.prediction) is not None:
        chosen = decoder.decode(prediction)
        site = bits[prediction.rows, prediction.columns]
        site += tables.cost(chosen, prediction.quantised).reshape(site.shape)
        coding.advance(chosen)
    return coding.result.integers, bits
