"""Protects faces, text and the user's regions where latents do not preserve them.

::

    candidate ─ decoder ─ patches, chosen by the structure gained for each byte ─ smoothed under them ─ code

Patches take their bytes from the latents: the file keeps to its rate target. A part of these bytes is that of
the latents under them. Regions that a patch covers get no finer steps. Text without a patch is not protected:
finer steps for it cost the rest of the picture as much as patches, and hardly a letter more is legible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import (
    Chunk,
    ChunkType,
    Header,
    Patches,
    Rectangle,
    Region,
    chunk_data,
    pack_patches,
    pack_regions,
    unpack_regions,
)
from calotype.decoding import region_refinements
from calotype.decoding.view import DecodedView
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.colour_error import decoded_pixels
from calotype.encoding.patch_choice import FEATHER, MIN_PATCH_BYTES, PatchChoice, choose_patches
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import PreparedPicture
from calotype.encoding.rate import KnownPass
from calotype.encoding.regions import face_boxes
from calotype.encoding.size_estimate import SizeEstimate
from calotype.encoding.underlay import Underlay
from calotype.errors import LimitError, TargetSizeError
from calotype.latents import SD1
from calotype.models import Decoder, Encoder, FaceFinder, TextFinder
from calotype.models.tiling import find_faces_tiled
from calotype.options import DecodeOptions, Roi

__all__ = ["allows_patches", "shown_pixels", "with_protection"]

_BUDGETS = {"faces": (0.0085, 0.07), "text": (0.0095, 0.06), "roi": (0.035, 0.15)}
"""The most that protection may take from the rest of the picture, in bits for each pixel and as a share of
the file; the larger one counts. "text" counts if there is text, "roi" if the user has named a region. LPIPS
of the rest grows by 0.5 % to 1 % for each per cent of the file that it lacks."""

_MAX_FRACTION = 0.25
"""The largest share of the file."""

_MAX_PATCH_FRACTION = 0.4
"""The largest share of the file that patches may have, those bytes included that the latents under them give
back."""

_MAX_FACE_SIDE = 48
"""The longest side, in pixels, of the box of a face that may become a patch. Within its bytes, the patch of a
larger one is blurred and has a visible edge, although a recogniser finds it nearer."""

_MIN_FACE_SIMILARITY, _FACE_WEIGHT = 0.87, 2.0
"""The similarity with the original from which on a patch of a face pays, and the weight of what it gains. A
recogniser found faces as far from the original as those of latents below it, and half as far above it."""

_LINE_HEIGHT = 18
"""The height in pixels of a line of text above which the gain of a patch is counted in letters, not in
pixels."""

_MIN_TEXT_SIMILARITY = 0.8
"""The similarity with the original below which a line of text stays illegible: a recogniser got 35 % to 90 %
of the letters of such lines wrong, and 5 % or less above it."""

_MIN_COVERED_FRACTION = 0.6
"""The least fraction of a region that a patch covers if the region counts as covered."""


def allows_patches(candidate: Candidate, picture: PreparedPicture, plan: Plan) -> bool:
    """Returns whether the file is large enough for any patch."""
    return _budget(candidate, picture, plan, with_text=plan.text) > MIN_PATCH_BYTES


def with_protection(
    candidate: Candidate,
    picture: PreparedPicture,
    plan: Plan,
    encoder: Encoder,
    decoder: Decoder,
    face_finder: FaceFinder | None,
    text_finder: TextFinder | None,
) -> Candidate:
    """Returns the candidate with patches, at the same rate.

    Without a finder, faces or text are not searched for. It returns ``candidate`` itself if no change pays.
    """
    faces, text, named = _subjects(candidate, picture, face_finder, text_finder)
    if not (faces or text or named):
        return candidate
    header, decoded = candidate.header, shown_pixels(candidate, decoder)
    choices = [PatchChoice(box, _FACE_WEIGHT, _MIN_FACE_SIMILARITY) for box in faces]
    choices += [
        PatchChoice(box, min((_LINE_HEIGHT / min(box[2:])) ** 2, 1.0), _MIN_TEXT_SIMILARITY) for box in text
    ]
    choices += [PatchChoice((roi.left, roi.top, roi.width, roi.height), roi.weight) for roi in named]
    size, budget = _file_size(candidate, plan), _budget(candidate, picture, plan, with_text=bool(text))
    underlay = Underlay(candidate, picture, encoder, FEATHER)
    patches = choose_patches(
        picture.rgb,
        decoded,
        choices,
        budget,
        max_size=int(_MAX_PATCH_FRACTION * size),
        saved_bytes=underlay.saved_bytes,
        grey=header.grey,
    )
    if patches is None:
        return candidate
    latents, regions = underlay.latents(patches.rectangles), _uncovered_regions(candidate, patches.rectangles)
    return _with_patches(candidate, latents, picture, plan, regions, patches) or candidate


def shown_pixels(candidate: Candidate, decoder: Decoder) -> NDArray[np.uint8]:
    """Returns the decoded pixels uint8[H, W, 3] of a candidate, without its patches."""
    pixels = decoded_pixels(candidate.reconstruction, decoder, candidate.header.extension)
    return DecodedView.of(candidate.header, DecodeOptions()).shown(pixels)


def _budget(candidate: Candidate, picture: PreparedPicture, plan: Plan, *, with_text: bool) -> int:
    """Returns the bytes that protection may take from the rest of the picture."""
    header, size = candidate.header, _file_size(candidate, plan)
    with_roi = picture.interest is not None and bool(picture.interest.boxes)
    bits, fraction = _BUDGETS["roi" if with_roi else "text" if with_text else "faces"]
    allowed = max(bits * header.width * header.height / 8, fraction * size)
    return int(min(allowed, _MAX_FRACTION * size))


def _file_size(candidate: Candidate, plan: Plan) -> int:
    return candidate.size if plan.rate.size is None else plan.rate.size


def _subjects(
    candidate: Candidate,
    picture: PreparedPicture,
    face_finder: FaceFinder | None,
    text_finder: TextFinder | None,
) -> tuple[list[Rectangle], list[Rectangle], tuple[Roi, ...]]:
    """Returns the boxes of small faces and of lines of text, in pixels to show, and the user's boxes."""
    faces: list[Rectangle] = []
    if face_finder is not None:
        boxes = face_boxes(find_faces_tiled(face_finder, candidate.latents))
        boxes = [_in_pixels(box, candidate.header) for box in boxes]
        faces = [box for box in boxes if max(box[2:]) <= _MAX_FACE_SIDE]
    text = [] if text_finder is None else text_finder.find(picture.rgb)
    return faces, text, () if picture.interest is None else picture.interest.boxes


def _in_pixels(box: Rectangle, header: Header) -> Rectangle:
    """Returns a box of latent positions in pixels of the picture to show."""
    sides, coded = (header.width, header.height), header.coded_size
    starts, ends = [], []
    for axis in (0, 1):
        scale = SD1.factor * sides[axis] / coded[axis]
        starts.append(int(box[axis] * scale))
        ends.append(min(int(np.ceil((box[axis] + box[axis + 2]) * scale)), sides[axis]))
    return starts[0], starts[1], ends[0] - starts[0], ends[1] - starts[1]


def _uncovered_regions(candidate: Candidate, patches: Sequence[Rectangle]) -> list[Region]:
    """Returns the candidate's regions without those that patches cover."""
    data = chunk_data(candidate.chunks, ChunkType.REGIONS)
    return [
        region
        for region in (() if data is None else unpack_regions(data))
        if not _is_covered(
            _in_pixels((region.left, region.top, region.width, region.height), candidate.header), patches
        )
    ]


def _is_covered(box: Rectangle, patches: Sequence[Rectangle]) -> bool:
    """Returns whether one of the patches covers most of a box."""
    for patch in patches:
        ends = [min(box[axis] + box[axis + 2], patch[axis] + patch[axis + 2]) for axis in (0, 1)]
        across, down = (max(0, end - max(box[axis], patch[axis])) for axis, end in enumerate(ends))
        if across * down >= _MIN_COVERED_FRACTION * box[2] * box[3]:
            return True
    return False


def _with_patches(
    candidate: Candidate,
    latents: NDArray[np.float32],
    picture: PreparedPicture,
    plan: Plan,
    regions: Sequence[Region],
    patches: Patches,
) -> Candidate | None:
    """Codes ``latents`` float32[4, h, w], nearly those of the candidate, with these regions and patches.

    Returns None if the file does not allow them.
    """
    header = replace(candidate.header, regions=bool(regions), regions_first=bool(regions))
    added = [Chunk(ChunkType.REGIONS, pack_regions(regions))] if regions else []
    added.append(Chunk(ChunkType.PATCHES, pack_patches(patches)))
    try:
        chunks = picture.with_chunks(*added)
        known = _expected_pass(candidate, latents, chunks)
        return code_latents(latents, header, chunks, candidate.rate, plan.rdo, known)
    except (TargetSizeError, LimitError):
        return None


def _expected_pass(
    candidate: Candidate, latents: NDArray[np.float32], chunks: tuple[Chunk, ...]
) -> KnownPass | None:
    """Returns the candidate's coding pass, with the bits that are expected of other latents and regions."""
    known = candidate.coding_pass
    if known is None:
        return None
    before = SizeEstimate(candidate.latents, candidate.refinement)
    after = SizeEstimate(latents, region_refinements(chunks, *latents.shape[1:]))
    ratio = after.size(known.level) / before.size(known.level)
    return replace(known, prediction_bits=tuple(ratio * bits for bits in known.prediction_bits))
