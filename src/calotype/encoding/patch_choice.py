"""Chooses which parts of a picture become patches: those that gain most structure for each byte.

::

    boxes ─ each coded alone, at several qualities ─ structure gained, bytes ─ as many as pay, in one atlas

A patch takes bytes from the latents of the whole picture. The number follows from the loss of the other
parts: LPIPS of a whole picture grows by 0.45 % for each per cent of bytes that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.container import MAX_ATLAS_SIDE, Patches, Rectangle, atlas_size, pack_patches
from calotype.decoding.patches import decoded_atlas, patch_weights
from calotype.encoding.patch_coding import code_patches
from calotype.encoding.structure import box_mean, structural_similarity
from calotype.imaging import luma

__all__ = ["FEATHER", "MIN_PATCH_BYTES", "PatchChoice", "choose_patches", "grown", "matched_at_edges"]

FEATHER = 3
"""Pixels over which a patch becomes opaque; boxes grow by as many."""

_QUALITIES = (1, 5, 10, 16, 24, 34, 46)
"""The qualities of the codec that are tried. The first ones leave letters of 12 pixels legible."""

MIN_PATCH_BYTES = 12
"""Bytes of a chunk with its first rectangle, without its picture."""

_MIN_GAIN = 2.0
"""The smallest gain, in pixels whose structure is wholly restored, for each byte."""

_SIMILAR = 0.9
"""The mean similarity above which a part needs no patch."""

_MAX_BOXES = 48
"""The number of boxes that are tried: those with the largest weight times area."""

_REACH = 16
"""Pixels from its edges over which the colours of a patch change from those around it to its own."""

_MAX_CHROMA_ERROR = 10.0
"""The mean error of the chroma that latents leave, 0 to 255, up to which patches need no colours."""


@dataclass(frozen=True)
class PatchChoice:
    """A part of the picture that may become a patch, and the ``weight`` of what it gains."""

    box: Rectangle
    weight: float


@dataclass(frozen=True)
class _Trial:
    """A patch at one quality: its bytes, and how many pixels of structure it gains."""

    rectangle: Rectangle
    size: int
    gain: float


def choose_patches(
    original: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
    choices: Sequence[PatchChoice],
    budget: int,
    *,
    grey: bool = False,
    min_gain: float = _MIN_GAIN,
) -> Patches | None:
    """Returns the patches whose chunk has at most ``budget`` bytes of data; None if none pays.

    ``original`` and ``decoded`` are uint8[H, W, 3]. ``min_gain`` is the smallest gain for each byte.
    """
    height, width = original.shape[:2]
    planes = [luma(rgb).astype(np.float32) for rgb in (original, decoded)]
    before = structural_similarity(planes[0], planes[1])
    ranked = sorted(choices, key=lambda choice: -choice.weight * choice.box[2] * choice.box[3])
    wanted = []
    for choice in ranked[:_MAX_BOXES]:
        rectangle = grown(choice.box, (width, height))
        if before[_part(rectangle)].mean() < _SIMILAR:
            wanted.append(PatchChoice(rectangle, choice.weight))
    if not wanted or budget <= MIN_PATCH_BYTES:
        return None
    boxes = [choice.box for choice in wanted]
    matched = matched_at_edges(original, decoded, boxes)
    luma_only = grey or _chroma_error(original, decoded, boxes) < _MAX_CHROMA_ERROR
    best: tuple[float, int, list[Rectangle]] = (0.0, 0, [])
    for quality in _QUALITIES:
        trials = [_trial(choice, matched, planes, before, quality, luma_only=luma_only) for choice in wanted]
        chosen = _affordable(trials, budget - MIN_PATCH_BYTES, min_gain, width * height)
        value = sum(trial.gain - min_gain * trial.size for trial in chosen)
        if value > best[0]:
            best = value, quality, [trial.rectangle for trial in chosen]
    _, quality, rectangles = best
    while rectangles:
        patches = code_patches(matched, rectangles, quality, luma=luma_only, feather=FEATHER)
        if len(pack_patches(patches)) <= budget:
            return patches
        rectangles.pop()
    return None


def grown(box: Rectangle, size: tuple[int, int]) -> Rectangle:
    """Returns a box (left, top, width, height) with room for its feather, in a picture of ``size``."""
    left, top = (max(0, start - FEATHER) for start in box[:2])
    right, bottom = (
        min(side, start + length + FEATHER)
        for start, length, side in zip(box[:2], box[2:], size, strict=True)
    )
    return left, top, right - left, bottom - top


def matched_at_edges(
    original: NDArray[np.uint8], decoded: NDArray[np.uint8], rectangles: Sequence[Rectangle]
) -> NDArray[np.uint8]:
    """Returns ``original`` uint8[H, W, 3] with, at the edges of rectangles, the mean colours of ``decoded``.

    The more a pixel lies within its rectangle, the less it is changed.
    """
    matched = original.copy()
    for rectangle in rectangles:
        part = _part(rectangle)
        height, width = original[part].shape[:2]
        across, down = (
            np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32) for side in (width, height)
        )
        near = np.clip(1 - np.minimum(down[:, None], across[None]) / _REACH, 0, 1)[..., None]
        error = box_mean(decoded[part].astype(np.float32) - original[part], _REACH // 2)
        matched[part] = np.clip(original[part] + near * error + 0.5, 0, 255)
    return matched


def _trial(
    choice: PatchChoice,
    matched: NDArray[np.uint8],
    planes: Sequence[NDArray[np.float32]],
    before: NDArray[np.float32],
    quality: int,
    *,
    luma_only: bool,
) -> _Trial:
    """Codes a patch alone, and measures what it gains against the ``before`` of the decoded picture."""
    rectangle = choice.box
    patches = code_patches(matched, [rectangle], quality, luma=luma_only, feather=FEATHER)
    part = _part(rectangle)
    height, width = before.shape
    weights = patch_weights(rectangle, (width, height), FEATHER).astype(np.float32) / 256
    shown = planes[1][part] + weights * (luma(decoded_atlas(patches)) - planes[1][part])
    after = structural_similarity(planes[0][part], shown)
    gain = choice.weight * float((after - before[part]).sum())
    return _Trial(rectangle, len(pack_patches(patches)) - 4, gain)


def _affordable(trials: Sequence[_Trial], budget: int, min_gain: float, area: int) -> list[_Trial]:
    """Returns the trials with the largest gain for each byte, within ``budget`` bytes and an atlas of
    ``area`` pixels."""
    chosen: list[_Trial] = []
    left = budget
    for trial in sorted(trials, key=lambda trial: -trial.gain / trial.size):
        if trial.gain < min_gain * trial.size:
            break
        width, height = atlas_size([each.rectangle for each in (*chosen, trial)])
        if trial.size <= left and width * height <= area and max(width, height) <= MAX_ATLAS_SIDE:
            chosen.append(trial)
            left -= trial.size
    return chosen


def _chroma_error(
    original: NDArray[np.uint8], decoded: NDArray[np.uint8], rectangles: Sequence[Rectangle]
) -> float:
    """Returns the mean difference of colours without luma in the rectangles, 0 to 255."""
    errors = []
    for rectangle in rectangles:
        part = _part(rectangle)
        colours = [
            rgb[part].astype(np.float32) - luma(np.ascontiguousarray(rgb[part]))[..., None].astype(np.float32)
            for rgb in (original, decoded)
        ]
        errors.append(np.abs(box_mean(colours[0] - colours[1], 1)).mean())
    return float(np.mean(errors))


def _part(rectangle: Rectangle) -> tuple[slice, slice]:
    left, top, width, height = rectangle
    return slice(top, top + height), slice(left, left + width)
