"""Latent optimisation (effort 9): gradient descent through the decoder at an equal file size.

::

    candidate ─ descent ─┬─ differentiable_rate   bits of the latents, by the context model in torch
                  │      └─ distortion            of the picture that the decoder makes of them
                  └─ candidate of no more bytes, with less distortion

Only this module is imported without torch. It imports the others, and torch, when effort 9 runs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.candidate import Candidate
from calotype.encoding.rate import SizeTarget
from calotype.errors import CalotypeWarning, ModelError, SourceError
from calotype.models import Decoder, Differentiable, load_context_model
from calotype.models.native import native_memory_errors

__all__ = ["MAX_ITERATIONS", "optimise_latents"]

MAX_ITERATIONS = 6
"""The largest number of iterations of the descent. Further ones gain little (training/README.md)."""


def optimise_latents(
    candidate: Candidate,
    rgb: NDArray[np.uint8],
    decoder: Decoder,
    *,
    max_size: int,
    seconds: float,
    lpips: str | os.PathLike[str] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Candidate:
    """Returns the candidate with other integers, from which ``decoder`` makes a better picture.

    ``rgb`` uint8[8h, 8w, 3] are the original pixels. The distortion consists of squared error, loss of
    contrast and structure in the pixels and in the encoder's activations and, if ``lpips`` is the path of
    that metric's ONNX graph, LPIPS. The file takes at most ``max_size`` bytes. The descent ends after
    ``MAX_ITERATIONS`` iterations or after ``seconds``, and calls ``progress`` after each iteration. Without
    torch, or with a decoder that torch cannot differentiate, it returns the candidate itself and warns.

    Raises :class:`ModelError` if the LPIPS graph cannot be used, and :class:`OutOfMemoryError`.
    """
    try:
        if not isinstance(decoder, Differentiable):
            raise ModelError("this decoder cannot be differentiated: choose another one with --decoder")
        network = decoder.differentiable()
        from calotype.encoding.optimise.descent import CodedLatents, LatentDescent
        from calotype.encoding.optimise.distortion import Distortion
        from calotype.models.onnx_torch import TorchGraph
    except ModelError as error:
        warnings.warn(f"effort 9 works like effort 8: {error}", CalotypeWarning, stacklevel=3)
        return candidate
    distortion = Distortion(None if lpips is None else TorchGraph(_read_lpips_graph(lpips)))
    context_model, levels = (
        load_context_model(candidate.header.context_model),
        candidate.reconstruction.levels,
    )
    extension = candidate.header.extension
    with native_memory_errors():
        descent = LatentDescent(candidate.latents, rgb, levels, context_model, network, distortion, extension)
        optimum = descent.run(
            CodedLatents(candidate.integers, candidate.payload, candidate.reconstruction),
            SizeTarget(max_size, candidate.header, candidate.chunks),
            MAX_ITERATIONS,
            seconds,
            progress,
        )
    return replace(
        candidate, integers=optimum.integers, payload=optimum.payload, reconstruction=optimum.reconstruction
    )


def _read_lpips_graph(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
