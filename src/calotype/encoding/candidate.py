"""A candidate: the latents of a picture at one resolution, quantised and entropy-coded.

Each stage of the encoder takes a candidate and returns another one, or the same. The last one is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, Header, serialise_file
from calotype.decoding import latents_and_levels, region_refinements
from calotype.encoding.plan import RateTarget, Rdo
from calotype.encoding.rate import SizeTarget, Trial, TrialEncoder, search_target_size
from calotype.latents import (
    Reconstruction,
    level_map,
    level_of_rounding_error,
    palette,
    reconstruct_latents,
    step_of_level,
)
from calotype.models import load_context_model

__all__ = ["Candidate", "code_latents", "code_palette", "requantised"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """The content of a file before it is written.

    The ``integers`` int16[4, h, w] were quantised from the ``latents`` float32[4, h, w] at the level of the
    ``header``. ``reconstruction`` holds the latents that a decoder reads from the file. ``rate`` is the rate
    target, which also holds when a later stage codes other latents.
    """

    header: Header
    chunks: tuple[Chunk, ...]
    rate: RateTarget
    latents: NDArray[np.float32]
    integers: NDArray[np.int16]
    payload: bytes
    reconstruction: Reconstruction

    @property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        return len(serialise_file(self.header, self.payload, 0, self.chunks))


def code_latents(
    latents: NDArray[np.float32],
    header: Header,
    chunks: tuple[Chunk, ...],
    rate: RateTarget,
    rdo: Rdo,
    first_level: int | None = None,
) -> Candidate:
    """Codes latents float32[4, h, w] with the context model at ``rate``.

    It returns the best of the results of ``rdo.cascades``: the smallest Lagrangian cost at a level, or the
    smallest squared error within a target size. ``first_level`` is a level at which the search for a target
    size may start.

    Raises :class:`TargetSizeError`.
    """
    context_model, refinement = (
        load_context_model(header.context_model),
        region_refinements(chunks, *latents.shape[1:]),
    )
    encoders = [
        TrialEncoder(latents, context_model, rdo.lambda_, cascade, rdo.error_diffusion, refinement)
        for cascade in rdo.cascades
    ]
    if rate.level is not None:
        level = rate.level
        trial = min((encoder.trial(level) for encoder in encoders), key=_lagrangian_cost)
        payload = trial.payload()
    else:
        assert rate.size is not None
        target = SizeTarget(rate.size, header, chunks)
        fits = [search_target_size(encoder, target, first_level) for encoder in encoders]
        trial, payload = min(fits, key=lambda fit: fit[0].error)
    reconstruction = reconstruct_latents(trial.coded, level_map(trial.level, refinement))
    header = replace(header, level=trial.level)
    return Candidate(header, chunks, rate, latents, trial.integers, payload, reconstruction)


def code_palette(latents: NDArray[np.float32], header: Header, chunks: tuple[Chunk, ...]) -> Candidate:
    """Codes latents float32[4, h, w] in the palette coding, which has one size."""
    pixels = palette.latents_to_bytes(latents)
    colours = palette.choose_palette(pixels)
    payload = palette.pack_palette_payload(colours, palette.dither_to_palette(pixels, colours))
    integers = palette.unpack_palette_payload(payload, *pixels.shape[:2])
    deviation = float(np.std(latents - palette.latents_from_bytes(integers)))
    header = replace(header, level=level_of_rounding_error(deviation))
    values, levels = latents_and_levels(header, integers, np.zeros(pixels.shape[:2], np.int8))
    reconstruction = Reconstruction(values, levels, values)
    return Candidate(
        header, chunks, RateTarget(level=header.level), latents, integers, payload, reconstruction
    )


def requantised(latents: NDArray[np.float32], candidate: Candidate, rdo: Rdo) -> Reconstruction:
    """Quantises other latents float32[4, h, w] of the same picture at the candidate's level and regions."""
    header = candidate.header
    refinement = region_refinements(candidate.chunks, *latents.shape[1:])
    context_model = load_context_model(header.context_model)
    encoder = TrialEncoder(
        latents, context_model, rdo.lambda_, error_diffusion=rdo.error_diffusion, refinement=refinement
    )
    return reconstruct_latents(encoder.trial(header.level).coded, level_map(header.level, refinement))


def _lagrangian_cost(trial: Trial) -> float:
    """Returns the Lagrangian cost of a trial: squared error plus lambda times bits."""
    return trial.error + trial.lambda_ * step_of_level(trial.level) ** 2 * trial.bits
