"""Chooses which parts of a picture become patches: those that gain most structure for each byte.

::

    boxes ─ each coded alone, at several qualities ─ structure gained, bytes ─ as many as pay, in one atlas

A patch takes its own bytes from the latents of the whole picture, and gives back those of the latents under
it, which nobody sees (``encoding.underlay``). The difference is what the rest of the picture pays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import MAX_ATLAS_SIDE, Patches, Rectangle, atlas_size, pack_patches
from calotype.decoding.patches import decoded_atlas, patch_weights
from calotype.encoding.patch_coding import code_patches
from calotype.encoding.structure import box_mean, structural_similarity
from calotype.imaging import luma

__all__ = ["FEATHER", "MIN_PATCH_BYTES", "PatchChoice", "choose_patches", "grown", "matched_at_edges"]

FEATHER = 2
"""Pixels over which a patch becomes opaque; boxes grow by as many. Each further pixel takes 5 % of the bytes
of a line of text."""

_QUALITIES = (0, 2, 4, 6, 10, 16, 24, 34, 46)
"""The qualities of the codec that are tried. Letters of 12 pixels are legible from about 4 on."""

_MIN_QUALITIES = ((0.85, 16), (0.75, 2))
"""Pairs (similarity, quality): no patch of a lower quality reaches this similarity."""

_FIRST_ATLAS_RATIO, _MAX_ATLASES = 0.75, 4
"""The initial estimate of the *atlas ratio*, and the largest number of atlases that are coded to correct it.
The atlas ratio is the size of several patches in one atlas relative to the sum of their sizes alone."""

MIN_PATCH_BYTES = 12
"""Bytes of a chunk with its first rectangle, without its picture."""

_MIN_GAIN = 2.0
"""The smallest gain, in pixels whose structure is wholly restored, for each byte taken from the rest."""

_MIN_TAKEN_FRACTION = 0.1
"""The least fraction of a patch's bytes that counts as taken from the rest when patches are ranked."""

_MAX_SIMILARITY = 0.9
"""The mean similarity from which on a part needs no patch."""

_MAX_BOXES = 48
"""The number of boxes that are tried: those with the largest weight times area."""

_REACH = 16
"""Pixels from its edges over which the colours of a patch change from those around it to its own."""

_MAX_CHROMA_ERROR = 10.0
"""The mean error of the chroma that latents leave, 0 to 255, up to which patches need no colours."""


@dataclass(frozen=True)
class PatchChoice:
    """A part of the picture that may become a patch, and the ``weight`` of what it gains.

    It gains nothing unless its mean similarity with the original is ``min_similarity`` or more.
    """

    box: Rectangle
    weight: float
    min_similarity: float = 0.0


@dataclass(frozen=True)
class _Trial:
    """A patch at one quality: its bytes alone, and how many pixels of structure it gains."""

    rectangle: Rectangle
    size: int
    gain: float


@dataclass(frozen=True)
class _Limits:
    """What patches must keep to.

    They may have ``size`` bytes together, of which ``taken`` come from the rest of the picture. Each byte
    taken must gain ``min_gain`` or more, and the atlas may have ``area`` pixels.
    """

    taken: float
    size: float
    min_gain: float
    area: int


def choose_patches(
    original: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
    choices: Sequence[PatchChoice],
    budget: int,
    *,
    max_size: int | None = None,
    saved_bytes: Callable[[Sequence[Rectangle]], Sequence[float]] | None = None,
    grey: bool = False,
    min_gain: float = _MIN_GAIN,
) -> Patches | None:
    """Returns the patches that take at most ``budget`` bytes from the rest of the picture; None if none pays.

    ``original`` and ``decoded`` are uint8[H, W, 3]. ``saved_bytes`` returns the bytes that the latents under
    each of several rectangles give back; None means none. The chunk has at most ``max_size`` bytes of data,
    without one at most ``budget``. ``min_gain`` is the smallest gain for each byte taken.
    """
    height, width = original.shape[:2]
    planes = [luma(rgb).astype(np.float32) for rgb in (original, decoded)]
    before = structural_similarity(planes[0], planes[1])
    ranked = sorted(choices, key=lambda choice: -choice.weight * choice.box[2] * choice.box[3])
    wanted: list[PatchChoice] = []
    for choice in ranked[:_MAX_BOXES]:
        rectangle = grown(choice.box, (width, height))
        if before[_part(rectangle)].mean() < _MAX_SIMILARITY:
            wanted.append(replace(choice, box=rectangle))
    max_size = budget if max_size is None else max_size
    if not wanted or max_size <= MIN_PATCH_BYTES:
        return None
    boxes = [choice.box for choice in wanted]
    saved = [0.0] * len(boxes) if saved_bytes is None else saved_bytes(boxes)
    saved_of = dict(zip(boxes, saved, strict=True))
    matched = matched_at_edges(original, decoded, boxes)
    luma_only = grey or _chroma_error(original, decoded, boxes) < _MAX_CHROMA_ERROR
    trials = {
        quality: [_trial(choice, matched, planes, before, quality, luma_only=luma_only) for choice in wanted]
        for quality in _QUALITIES
        if quality >= min(_min_quality(choice) for choice in wanted)
    }
    limits = _Limits(budget - MIN_PATCH_BYTES, max_size - MIN_PATCH_BYTES, min_gain, width * height)
    atlas_ratio, best = _FIRST_ATLAS_RATIO, None
    for _ in range(_MAX_ATLASES):
        quality, chosen = _best_trials(trials, saved_of, atlas_ratio, limits)
        if not chosen:
            break
        rectangles = [trial.rectangle for trial in chosen]
        patches = code_patches(matched, rectangles, quality, luma=luma_only, feather=FEATHER, thorough=True)
        size, gain = len(pack_patches(patches)), sum(trial.gain for trial in chosen)
        fits = size <= min(max_size, budget + sum(saved_of[rectangle] for rectangle in rectangles))
        if fits and (best is None or gain > best[0]):
            best = gain, patches
        estimated_ratio = atlas_ratio
        atlas_ratio = (size - MIN_PATCH_BYTES) / sum(trial.size for trial in chosen)
        if fits and atlas_ratio >= estimated_ratio:
            break
    return None if best is None else best[1]


def _min_quality(choice: PatchChoice) -> int:
    """Returns the lowest quality that is worth a trial."""
    return max((quality for limit, quality in _MIN_QUALITIES if choice.min_similarity >= limit), default=0)


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
    opaque = weights == 1
    is_similar = not choice.min_similarity or after[opaque].mean() >= choice.min_similarity
    gain = choice.weight * float((after - before[part]).sum()) if is_similar else 0.0
    return _Trial(rectangle, len(pack_patches(patches)) - 4, gain)


def _best_trials(
    trials: Mapping[int, Sequence[_Trial]],
    saved: Mapping[Rectangle, float],
    atlas_ratio: float,
    limits: _Limits,
) -> tuple[int, list[_Trial]]:
    """Returns the quality at which the affordable ``trials`` gain most, and these trials.

    ``saved`` are the bytes that the latents under each patch give back.
    """
    best: tuple[float, int, list[_Trial]] = (0.0, 0, [])
    for quality, trials_of_quality in trials.items():
        taken = {
            trial.rectangle: atlas_ratio * trial.size - saved[trial.rectangle] for trial in trials_of_quality
        }
        chosen = _affordable(trials_of_quality, taken, atlas_ratio, limits)
        net_gain = sum(trial.gain - limits.min_gain * max(taken[trial.rectangle], 0) for trial in chosen)
        if net_gain > best[0]:
            best = net_gain, quality, chosen
    return best[1:]


def _affordable(
    trials: Sequence[_Trial], taken: Mapping[Rectangle, float], atlas_ratio: float, limits: _Limits
) -> list[_Trial]:
    """Returns the trials with the largest gain for each byte that they take from the rest, within limits."""
    chosen: list[_Trial] = []
    budget_left, size = limits.taken, 0.0

    def gain_per_byte(trial: _Trial) -> float:
        return trial.gain / max(taken[trial.rectangle], _MIN_TAKEN_FRACTION * trial.size)

    for trial in sorted(trials, key=gain_per_byte, reverse=True):
        cost = taken[trial.rectangle]
        if trial.gain <= 0 or trial.gain < limits.min_gain * cost:
            continue
        width, height = atlas_size([*(other.rectangle for other in chosen), trial.rectangle])
        if (
            cost <= budget_left
            and size + atlas_ratio * trial.size <= limits.size
            and width * height <= limits.area
            and max(width, height) <= MAX_ATLAS_SIDE
        ):
            chosen.append(trial)
            budget_left -= cost
            size += atlas_ratio * trial.size
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
