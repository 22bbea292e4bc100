"""The stages of the encoder: each takes a candidate and returns another one, or the same if that is better.

::

    candidate ─ what to code instead (resolution, regions, colours) ─ code ─ the better of the two

Regions are kept where the file meets its target size with them, corrected colours where their error is
smaller. The modules below this one decide what to code. Only the stages code it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, Header, pack_regions
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.closed_loop import corrected_latents
from calotype.encoding.colour_error import ColourError, block_colour_error, smooth_colour_error
from calotype.encoding.colour_solver import ColourGoal, has_right_colours, solve_latents_for_colours
from calotype.encoding.interest import interest_regions
from calotype.encoding.plan import Plan, RateTarget
from calotype.encoding.prepare import PreparedPicture
from calotype.encoding.regions import face_regions, has_only_small_faces
from calotype.encoding.resolution import (
    allowed_scales,
    best_scale,
    expected_best_scale,
    larger_scale,
    level_of_missed_target,
)
from calotype.errors import LimitError, TargetSizeError
from calotype.models import Decoder, Encoder, FaceFinder
from calotype.models.tiling import encode_tiled, find_faces_tiled

__all__ = ["code_at_best_scale", "with_corrected_colours", "with_finer_regions", "with_solved_colours"]


def code_at_best_scale(
    latents: NDArray[np.float32], picture: PreparedPicture, plan: Plan, encoder: Encoder
) -> Candidate:
    """Codes the picture at its scale or, if the options leave the scale open, at the best scale.

    ``latents`` float32[4, h, w] are those at the scale of ``picture``. With a quality instead of a target
    size, the scale of ``picture`` determines how many bytes the file takes, and the other scales are coded to
    that size. Raises :class:`TargetSizeError`.
    """
    scales, scale, rate = allowed_scales(picture), picture.header.scale, plan.rate
    candidates, levels = dict[int, Candidate](), dict[int, float]()
    failure: TargetSizeError | None = None
    while scale not in levels:
        header = picture.at(scale)
        if levels:
            latents = _latents_of(picture, header, encoder)
        try:
            candidate = code_latents(latents, header, picture.chunks, rate, plan.rdo)
        except TargetSizeError as error:
            failure, levels[scale] = error, level_of_missed_target(error)
        else:
            candidates[scale], levels[scale] = candidate, candidate.header.level
            if rate.size is None and len(scales) > 1:
                rate = RateTarget(size=candidate.size)
        scale = expected_best_scale(scales, scale, levels[scale])
    if not candidates and failure is not None:
        raise failure
    return candidates[best_scale({scale: levels[scale] for scale in candidates})]


def with_finer_regions(
    candidate: Candidate, picture: PreparedPicture, plan: Plan, encoder: Encoder, finder: FaceFinder | None
) -> Candidate:
    """Returns the candidate with a REGIONS chunk for its faces and its regions of interest, at the same rate.

    Without a ``finder`` faces are not looked for. If all faces are small, a larger scale is tried first. It
    returns ``candidate`` itself if there are no regions, if the size allows no finer latents, or if the
    limits do not allow the chunk.
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
    header, first_level = replace(header, regions=True, regions_first=True), header.level
    try:
        chunks = picture.with_chunks(Chunk(ChunkType.REGIONS, pack_regions(regions)))
        return code_latents(latents, header, chunks, candidate.rate, plan.rdo, first_level)
    except (TargetSizeError, LimitError):
        return None


def with_corrected_colours(
    candidate: Candidate, rgb: NDArray[np.uint8], plan: Plan, encoder: Encoder, decoder: Decoder
) -> Candidate:
    """Returns the candidate with colours nearer to those of ``rgb`` uint8[8h, 8w, 3], at the same rate.

    The latents of ``candidate`` must come from ``encoder``. It returns ``candidate`` itself if the colour
    error does not fall, or if the target size cannot be met.
    """
    extension = candidate.header.extension
    before = smooth_colour_error(rgb, candidate.reconstruction, decoder, extension)
    latents = corrected_latents(candidate, rgb, before, plan, encoder, decoder)
    corrected = _code_other_latents(candidate, latents, plan)
    if corrected is None:  # The corrected latents need a few bytes more.
        return candidate
    after = smooth_colour_error(rgb, corrected.reconstruction, decoder, extension)
    return corrected if np.abs(after).sum() < np.abs(before).sum() else candidate


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
    solved = _code_other_latents(start, solve_latents_for_colours(start.latents, goal), plan)
    if solved is None:
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


def _code_other_latents(candidate: Candidate, latents: NDArray[np.float32], plan: Plan) -> Candidate | None:
    """Codes other latents of the same picture like ``candidate``; returns None if the size cannot be met."""
    header = candidate.header
    try:
        return code_latents(
            latents, header, candidate.chunks, candidate.rate, plan.rdo, first_level=header.level
        )
    except TargetSizeError:
        return None


def _latents_of(picture: PreparedPicture, header: Header, encoder: Encoder) -> NDArray[np.float32]:
    """Returns the latents float32[4, h, w] of the picture at the coded size in ``header``."""
    return encode_tiled(encoder, picture.pixels(header), header.extension)
