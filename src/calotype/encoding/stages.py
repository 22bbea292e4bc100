"""The stages of the encoder: each takes a candidate and returns one that is no worse.

::

    candidate ─ what to code instead (resolution, regions, colours) ─ code ─ candidate, no worse

The modules below this one decide what to code. Only the stages code it. A stage returns the candidate that it
was given if the new one does not meet the rate target, or if its colour error is not smaller.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, Header, pack_regions
from calotype.encoding.candidate import Candidate, code_latents, provisional_candidate
from calotype.encoding.closed_loop import colour_corrected, corrected_latents
from calotype.encoding.colour_error import (
    ColourError,
    block_colour_error,
    decoded_pixels,
    smooth_colour_error,
)
from calotype.encoding.colour_solver import ColourGoal, has_right_colours, solve_latents_for_colours
from calotype.encoding.interest import interest_regions
from calotype.encoding.plan import Plan, RateTarget
from calotype.encoding.prepare import PreparedPicture
from calotype.encoding.rate import SizeTarget
from calotype.encoding.regions import face_regions, has_only_small_faces
from calotype.encoding.resolution import (
    allowed_scales,
    best_scale,
    expected_best_scale,
    larger_scale,
    level_of_missed_target,
)
from calotype.encoding.size_estimate import SizeEstimate
from calotype.errors import LimitError, TargetSizeError
from calotype.latents import COARSEST
from calotype.models import Decoder, Encoder, FaceFinder
from calotype.models.tiling import encode_tiled, find_faces_tiled

__all__ = [
    "code_at_best_scale",
    "fitted",
    "with_corrected_colours",
    "with_finer_regions",
    "with_solved_colours",
]

_SCALE_TOLERANCE = 0.25
"""Levels by which a scale may miss its limit before another one is tried: the two are equally good."""


def code_at_best_scale(
    latents: NDArray[np.float32], picture: PreparedPicture, plan: Plan, encoder: Encoder
) -> Candidate:
    """Codes the picture at its scale or, if the options leave the scale open, at the best scale.

    ``latents`` float32[4, h, w] are those at the scale of ``picture``. With a target size the result is
    provisional. With a quality instead, the file takes at any scale the bytes that it takes at that scale.
    """
    header, rate = picture.header, plan.rate
    if rate.size is None:
        candidate = code_latents(latents, header, picture.chunks, rate, plan.rdo)
        scale = expected_best_scale(allowed_scales(picture), header.scale, candidate.header.level)
        if scale == header.scale:
            return candidate
        rate = RateTarget(size=candidate.size)
        provisional = _provisional_near_scale(picture, rate, plan, encoder, scale, {header.scale: candidate})
        return candidate if provisional is candidate else fitted(provisional, picture, plan, encoder)
    header, latents = _at_estimated_scale(latents, picture, rate.size, encoder)
    provisional = provisional_candidate(latents, header, picture.chunks, rate, plan.rdo)
    return _provisional_near_scale(picture, rate, plan, encoder, header.scale, {header.scale: provisional})


def _at_estimated_scale(
    latents: NDArray[np.float32], picture: PreparedPicture, size: int, encoder: Encoder
) -> tuple[Header, NDArray[np.float32]]:
    """Returns the header of the scale that is best for ``size`` bytes by estimates, and the latents at it."""
    scales, header, tried = allowed_scales(picture), picture.header, set[int]()
    while True:
        level = SizeEstimate(latents).level(SizeTarget(size, header, picture.chunks).goal)
        scale = expected_best_scale(scales, header.scale, level, _SCALE_TOLERANCE)
        tried.add(header.scale)
        if scale in tried:
            return header, latents
        header = picture.at(scale)
        latents = _latents_of(picture, header, encoder)


def _provisional_near_scale(
    picture: PreparedPicture,
    rate: RateTarget,
    plan: Plan,
    encoder: Encoder,
    scale: int,
    candidates: dict[int, Candidate],
) -> Candidate:
    """Returns a provisional candidate at ``scale`` or, if its level says that another scale is better, at
    that one.

    ``candidates`` are those that are known by their scales. Each other one takes a coding pass.
    """
    scales = allowed_scales(picture)
    levels = {known: candidate.level_of_target for known, candidate in candidates.items()}
    while True:
        if scale not in candidates:
            header = picture.at(scale)
            latents = _latents_of(picture, header, encoder)
            candidates[scale] = provisional_candidate(latents, header, picture.chunks, rate, plan.rdo)
            levels[scale] = candidates[scale].level_of_target
        following = expected_best_scale(scales, scale, levels[scale], _SCALE_TOLERANCE)
        if following == scale:
            return candidates[scale]
        if following in candidates:
            return candidates[best_scale(levels)]
        scale = following


def fitted(candidate: Candidate, picture: PreparedPicture, plan: Plan, encoder: Encoder) -> Candidate:
    """Returns a candidate for the same latents that meets its target size; the candidate itself if it does.

    If the latents take too many bytes even at the coarsest level, the picture is coded without the regions,
    and then at smaller scales. Raises :class:`TargetSizeError`.
    """
    if candidate.fits:
        return candidate
    scales = allowed_scales(picture)
    while True:
        header, latents = candidate.header, candidate.latents
        try:
            return candidate.recoded(plan.rdo)
        except TargetSizeError as error:
            smaller = tuple(scale for scale in scales if scale < header.scale)
            if header.regions:
                header = replace(header, regions=False, regions_first=False)
            elif smaller:
                level = level_of_missed_target(error)
                header = picture.at(expected_best_scale(smaller, header.scale, level))
                latents = _latents_of(picture, header, encoder)
            else:
                raise
            candidate = provisional_candidate(latents, header, picture.chunks, candidate.rate, plan.rdo)


def with_finer_regions(
    candidate: Candidate, picture: PreparedPicture, plan: Plan, encoder: Encoder, finder: FaceFinder | None
) -> Candidate:
    """Returns the candidate with a REGIONS chunk for its faces and its regions of interest, at the same rate.

    Without a ``finder`` faces are not looked for. If all faces are small, a larger scale is tried first. It
    returns ``candidate`` itself if there are no regions, if the size allows no finer latents, or if the
    limits do not allow the chunk. With a target size the result is provisional: it took one coding pass.
    """
    header, latents = candidate.header, candidate.latents
    if finder is None:
        return _with_regions(candidate, picture, plan, header, latents, None) or candidate
    probability = find_faces_tiled(finder, latents)
    larger = larger_scale(header, picture)
    if larger and has_only_small_faces(probability):
        larger_header = replace(header, scale=larger[0], level=larger[1])
        larger_latents = _latents_of(picture, larger_header, encoder)
        larger_probability = find_faces_tiled(finder, larger_latents)
        finer = _with_regions(candidate, picture, plan, larger_header, larger_latents, larger_probability)
        if finer is not None:
            return finer
    return _with_regions(candidate, picture, plan, header, latents, probability) or candidate


def _with_regions(
    candidate: Candidate,
    picture: PreparedPicture,
    plan: Plan,
    header: Header,
    latents: NDArray[np.float32],
    probability: NDArray[np.float32] | None,
) -> Candidate | None:
    """Codes ``latents`` with a REGIONS chunk; returns None if there are no regions or it does not fit."""
    bits = 8 * len(candidate.payload)
    regions = () if probability is None else face_regions(probability, header.level, bits)
    if picture.interest is not None:
        regions += interest_regions(picture.interest.weights(header), header.level, bits)
    if not regions:
        return None
    header = replace(header, regions=True, regions_first=True)
    try:
        chunks = picture.with_chunks(Chunk(ChunkType.REGIONS, pack_regions(regions)))
    except LimitError:
        return None
    provisional = provisional_candidate(latents, header, chunks, candidate.rate, plan.rdo)
    return provisional if provisional.level_of_target <= COARSEST else None


def with_corrected_colours(
    candidate: Candidate, rgb: NDArray[np.uint8], plan: Plan, encoder: Encoder, decoder: Decoder
) -> Candidate:
    """Returns the candidate with colours nearer to those of ``rgb`` uint8[8h, 8w, 3], at the same rate.

    The latents of ``candidate`` must come from ``encoder``. They are corrected twice. The result meets its
    target size, unless it is ``candidate`` itself: if the first correction does not reduce the colour error,
    or if the target size cannot be met.
    """
    extension = candidate.header.extension
    decoded = decoded_pixels(candidate.reconstruction, decoder, extension)
    error = smooth_colour_error(rgb, decoded)
    latents = corrected_latents(candidate, decoded, error, plan, encoder)
    provisional = candidate.recoded_provisionally(plan.rdo, latents)
    error_left = smooth_colour_error(rgb, decoded_pixels(provisional.reconstruction, decoder, extension))
    if np.abs(error_left).sum() >= np.abs(error).sum():
        return candidate
    try:
        return provisional.recoded(plan.rdo, colour_corrected(latents, error_left))
    except TargetSizeError:
        return candidate


def with_solved_colours(
    candidate: Candidate, picture: PreparedPicture, plan: Plan, encoder: Encoder, decoder: Decoder
) -> Candidate:
    """Returns the candidate with colours nearer to those of ``picture``, at the same rate.

    It returns ``candidate`` itself if its colours are right, or if solving does not bring them nearer.
    """
    before = _block_error(candidate, picture, decoder)
    if has_right_colours(before):
        return candidate
    start = _at_level_of_quality(candidate, picture, plan, encoder)
    goal = ColourGoal(picture.pixels(start.header), start.reconstruction.levels, decoder, start.header)
    try:
        solved = start.recoded(plan.rdo, solve_latents_for_colours(start.latents, goal))
    except TargetSizeError:
        return candidate
    after = _block_error(solved, picture, decoder)
    return solved if np.square(after).mean() < np.square(before).mean() else candidate


def _at_level_of_quality(
    candidate: Candidate, picture: PreparedPicture, plan: Plan, encoder: Encoder
) -> Candidate:
    """Returns the candidate that has exactly the level of the plan's quality, at the scale of ``picture``.

    At another scale the same bytes may mean a level that is too coarse to solve for colours, since most bytes
    of so small a file are no latents. With a target size, or with regions, it returns ``candidate`` itself.
    """
    header = picture.header
    if plan.rate.level is None or candidate.header.scale == header.scale or candidate.header.regions:
        return candidate
    return code_latents(_latents_of(picture, header, encoder), header, picture.chunks, plan.rate, plan.rdo)


def _block_error(candidate: Candidate, picture: PreparedPicture, decoder: Decoder) -> ColourError:
    """Returns the colour error of a candidate for ``picture``, block by block."""
    header = candidate.header
    return block_colour_error(picture.pixels(header), candidate.reconstruction, decoder, header)


def _latents_of(picture: PreparedPicture, header: Header, encoder: Encoder) -> NDArray[np.float32]:
    """Returns the latents float32[4, h, w] of the picture at the coded size in ``header``."""
    return encode_tiled(encoder, picture.pixels(header), header.extension)
