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
from calotype.encoding.rate import MIN_SHARE, KnownPass, SizeTarget, Trial, TrialEncoder, search_target_size
from calotype.encoding.size_estimate import SizeEstimate
from calotype.latents import (
    COARSEST,
    FINEST,
    Reconstruction,
    level_map,
    level_of_rounding_error,
    palette,
    reconstruct_latents,
    step_of_level,
)
from calotype.models import load_context_model

__all__ = ["Candidate", "code_latents", "code_palette", "provisional_candidate"]

_MAX_LEVEL_ERROR, _MAX_PASSES = 8, 3
"""The largest difference, in levels, between a provisional candidate and the level that would meet its target
size, and the largest number of coding passes that are spent on it."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """The content of a file before it is written.

    The ``integers`` int16[4, h, w] were quantised from the ``latents`` float32[4, h, w] at the level of the
    ``header``. ``reconstruction`` holds the latents that a decoder reads from the file. ``rate`` is the rate
    target, which also holds when a later stage codes other latents. With a target size a candidate may be
    *provisional*: it is coded at an estimated level, and its size is near the target, above or below.
    ``coding_pass`` is None in the palette coding.
    """

    header: Header
    chunks: tuple[Chunk, ...]
    rate: RateTarget
    latents: NDArray[np.float32]
    integers: NDArray[np.int16]
    payload: bytes
    reconstruction: Reconstruction
    coding_pass: KnownPass | None = None

    @property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        return len(serialise_file(self.header, self.payload, 0, self.chunks))

    @property
    def level_of_target(self) -> float:
        """The fractional level at which these latents are expected to meet the rate target.

        With a level as the target it is that level. Beyond the coarsest level it says how far a target size
        is out of reach.
        """
        if self.rate.size is None or self.coding_pass is None:
            return self.header.level
        target = SizeTarget(self.rate.size, self.header, self.chunks)
        estimate = SizeEstimate(self.latents, self.refinement)
        return estimate.level(target.goal, (self.header.level, self.coding_pass.size))

    @property
    def refinement(self) -> NDArray[np.int8]:
        """The level offset of each position, int8[h, w]."""
        return region_refinements(self.chunks, *self.latents.shape[1:])

    @property
    def fits(self) -> bool:
        """Whether the file meets its rate target: with a target size, from below and nearly."""
        target = self.rate.size
        if target is None:
            return True
        return self.size <= target and (self.size >= MIN_SHARE * target or self.header.level == FINEST)

    def recoded(self, rdo: Rdo, latents: NDArray[np.float32] | None = None) -> Candidate:
        """Returns a candidate with the same chunks that meets the rate target.

        ``latents`` float32[4, h, w] are others of the same picture; None codes its own once more. The search
        for a target size starts from the coding pass of this candidate. Raises :class:`TargetSizeError`.
        """
        if latents is None:
            latents = self.latents
        return code_latents(latents, self.header, self.chunks, self.rate, rdo, self.coding_pass)

    def recoded_provisionally(self, rdo: Rdo, latents: NDArray[np.float32]) -> Candidate:
        """Returns a provisional candidate of other latents float32[4, h, w] of the same picture.

        It has the chunks of this candidate, and the level at which this one should meet its rate target.
        """
        return provisional_candidate(latents, self.header, self.chunks, self.rate, rdo, self.level_of_target)


def code_latents(
    latents: NDArray[np.float32],
    header: Header,
    chunks: tuple[Chunk, ...],
    rate: RateTarget,
    rdo: Rdo,
    known: KnownPass | None = None,
) -> Candidate:
    """Codes latents float32[4, h, w] with the context model at ``rate``.

    It returns the best of the results of ``rdo.cascades``: the smallest Lagrangian cost at a level, or the
    smallest squared error within a target size. The search for a target size starts from the coding
    pass ``known``, of the same or nearly the same latents; None makes one.

    Raises :class:`TargetSizeError`.
    """
    context_model = load_context_model(header.context_model)
    refinement = region_refinements(chunks, *latents.shape[1:])
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
        fits = [search_target_size(encoder, target, known) for encoder in encoders]
        trial, payload = min(fits, key=lambda fit: fit[0].error)
    reconstruction = reconstruct_latents(trial.result, level_map(trial.level, refinement))
    header = replace(header, level=trial.level)
    return Candidate(header, chunks, rate, latents, trial.integers, payload, reconstruction, trial.known)


def provisional_candidate(
    latents: NDArray[np.float32],
    header: Header,
    chunks: tuple[Chunk, ...],
    rate: RateTarget,
    rdo: Rdo,
    level: float | None = None,
) -> Candidate:
    """Codes latents float32[4, h, w] in one coding pass, at the level where they should meet ``rate``.

    ``level`` is that fractional level, if it is known; None estimates it. The result is provisional. A second
    pass follows if the measured size says that the level is far off.
    """
    plain = replace(rdo, cascades=rdo.cascades[:1])
    if rate.size is None:
        return code_latents(latents, header, chunks, rate, plain)
    if level is None:
        estimate = SizeEstimate(latents, region_refinements(chunks, *latents.shape[1:]))
        level = estimate.level(SizeTarget(rate.size, header, chunks).goal)
    for _ in range(_MAX_PASSES):
        coded = RateTarget(level=round(min(max(level, FINEST), COARSEST)))
        provisional = replace(code_latents(latents, header, chunks, coded, plain), rate=rate)
        level = provisional.level_of_target
        if abs(min(max(level, FINEST), COARSEST) - provisional.header.level) <= _MAX_LEVEL_ERROR:
            break
    return provisional


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


def _lagrangian_cost(trial: Trial) -> float:
    """Returns the Lagrangian cost of a trial: squared error plus lambda times bits."""
    return trial.error + trial.lambda_ * step_of_level(trial.level) ** 2 * trial.bits
