"""Latent optimisation, effort 9: better latents for a file that stays as small as it is.

::

    file of the plain searches ─ descent ─┬─ rate         bits, by the context model in torch
                                          └─ distortion   of the decoded picture
                    │
                    └─ a file like any other, of no more bytes

Torch is imported when it is needed, not before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.container import parse, serialise
from calotype.decoding import decode_latents
from calotype.encoding.write import VERIFY_LIMITS, write_file
from calotype.errors import CalotypeWarning, ModelError, SourceError
from calotype.latents import channel_steps
from calotype.models import Decoder, Differentiable, load_table
from calotype.options import EncodeOptions

__all__ = ["ROUNDS", "refine"]

ROUNDS = 60
"""Steps of descent, if time allows."""


def refine(
    data: bytes,
    latents: NDArray[np.float32],
    rgb: NDArray[np.uint8],
    decoder: Decoder,
    options: EncodeOptions,
    target: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> bytes:
    """The lattice file ``data`` with latents that ``decoder`` makes a better picture of.

    ``latents`` float32[4, h, w] are those of the picture, ``rgb`` uint8[8h, 8w, 3] its pixels. Better means
    squared error, contrast and structure and, with a graph in ``options``, LPIPS. The result takes at most
    ``target`` bytes, or as many as ``data``; ``progress`` is called up to ``ROUNDS`` times. Without torch, or
    with a decoder that it cannot differentiate, ``data`` itself comes back and a warning says why.

    Raises :class:`ModelError` if the LPIPS graph cannot be used.
    """
    try:
        if not isinstance(decoder, Differentiable):
            raise ModelError("this decoder cannot be differentiated: choose another one to optimise for")
        network = decoder.differentiable()
        from calotype.encoding.optimise.descent import Descent, Found
        from calotype.models.onnx_torch import TorchGraph
    except ModelError as error:
        warnings.warn(f"effort 9 works like effort 8: {error}", CalotypeWarning, stacklevel=3)
        return data
    lpips = None if options.lpips is None else TorchGraph(_read(options.lpips))
    parsed = parse(data, limits=VERIFY_LIMITS)
    header = parsed.header
    values = decode_latents(parsed)
    integers = np.round(values.latents / channel_steps(values.levels)).astype(np.int16)
    most = len(data) if target is None else target
    descent = Descent(latents, rgb, values.levels, load_table(header.table), network, lpips)
    found = descent.run(
        Found(integers, parsed.payload),
        lambda payload: len(serialise(header, payload, 0, parsed.chunks)) <= most,
        ROUNDS,
        options.time_limit,
        progress,
    )
    return write_file(latents, header, found.integers, found.payload, parsed.chunks).data


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
