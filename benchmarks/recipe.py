"""The recipe of September 2022 as a codec: TAESD's latents in 256 dithered colours, and zlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import Taesd
from calotype.compare.codecs import Coded
from calotype.container import EXTENSION, parse_file
from calotype.decoding import decode_latents
from calotype.encoding import encode_latents
from calotype.encoding.prepare import prepare_picture
from calotype.imaging import load_picture
from calotype.limits import Limits
from calotype.options import EncodeOptions

__all__ = ["Recipe2022"]


class Recipe2022:
    """The recipe as a codec with one size; see :class:`calotype.compare.codecs.Codec`."""

    title = "recipe of 2022"
    suffix = EXTENSION

    def __init__(self, taesd: Taesd) -> None:
        self._taesd = taesd

    def compress(self, rgb: NDArray[np.uint8], budgets: Sequence[int]) -> list[Coded]:
        """See :meth:`calotype.compare.codecs.Codec.compress`."""
        options = EncodeOptions(recipe="palette")
        picture = load_picture(rgb, limits=options.limits, strict=options.strict)
        # The header names pocket as the encoder, which has no effect here.
        data = encode_latents(self._taesd.encode(rgb), prepare_picture(picture, options).header, options)
        latents = decode_latents(parse_file(data, limits=Limits())).latents
        decoded = self._taesd.decode(latents)[: rgb.shape[0], : rgb.shape[1]]
        return [Coded(data, decoded, len(data) <= budget) for budget in budgets]
