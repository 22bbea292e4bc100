"""The picture under patches: smoothed, so that its latents take few bytes.

::

    picture ─ smoothed where patches will lie ─ encoder ─ minus the latents of the picture ─ change of latents

Nobody sees the latents under an opaque patch. Without its letters, the latents of a line of text give back a
quarter of the bytes of the patch, and the pixels around it come out better. Mixed raster content fills the
hidden parts of its layers likewise (ITU-T T.44). The smoothed part nearly keeps its mean colours, so that
small views, and decoders that cannot read the patches, show a blur in place of the patch and not an
invention.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calotype.container import ChunkType, Header, Rectangle, chunk_data, unpack_patches
from calotype.decoding.patches import patch_weights
from calotype.encoding.candidate import Candidate
from calotype.encoding.prepare import PreparedPicture, network_input
from calotype.encoding.size_estimate import SizeEstimate
from calotype.encoding.structure import box_mean
from calotype.entropy import BASE_SPACING
from calotype.imaging import luma
from calotype.latents import SD1
from calotype.models import Encoder
from calotype.models.tiling import encode_tiled

__all__ = ["Underlay", "pixels_under_patches", "smoothed_under"]

_LUMA_RADIUS, _COLOUR_RADIUS = 16, 2
"""The radii, in pixels, of the means that replace the luma, twice, and the colours of a pixel. Patches may
have no colours of their own, so that those under them must stay."""

_REACH = 2
"""Latent positions beyond a rectangle, in which its smoothing changes the number of bits as well."""


def smoothed_under(
    rgb: NDArray[np.uint8], rectangles: Sequence[Rectangle], feather: int
) -> NDArray[np.uint8]:
    """Returns the picture uint8[H, W, 3], smoothed where patches with this ``feather`` will hide it.

    What lies beside a rectangle does not change what is in it.
    """
    height, width = rgb.shape[:2]
    result = rgb.copy()
    for rectangle in rectangles:
        left, top, across, down = rectangle
        part = slice(top, top + down), slice(left, left + across)
        pixels = rgb[part]
        grey = luma(np.ascontiguousarray(pixels)).astype(np.float32)[..., None]
        smooth = box_mean(box_mean(grey, _LUMA_RADIUS), _LUMA_RADIUS)
        smooth = smooth + box_mean(pixels.astype(np.float32) - grey, _COLOUR_RADIUS)
        weights = patch_weights(rectangle, (width, height), feather).astype(np.float32)[..., None] / 256
        result[part] = np.clip(result[part] + weights * (smooth - result[part]) + 0.5, 0, 255)
    return result


def pixels_under_patches(candidate: Candidate, picture: PreparedPicture) -> NDArray[np.uint8]:
    """Returns what the candidate's latents should show, uint8[8h, 8w, 3]: the picture at its coded size,
    smoothed under its patches."""
    header, packed = candidate.header, chunk_data(candidate.chunks, ChunkType.PATCHES)
    if packed is None:
        return picture.pixels(header)
    patches = unpack_patches(packed, header.width, header.height)
    return network_input(smoothed_under(picture.rgb, patches.rectangles, patches.feather), header)


class Underlay:
    """Smooths a ``candidate`` for ``picture`` under patches; ``encoder`` is the one of its latents."""

    def __init__(
        self, candidate: Candidate, picture: PreparedPicture, encoder: Encoder, feather: int
    ) -> None:
        self._candidate, self._picture, self._encoder, self._feather = candidate, picture, encoder, feather
        self._rectangles: Sequence[Rectangle] = ()
        self._latents = candidate.latents

    def latents(self, rectangles: Sequence[Rectangle]) -> NDArray[np.float32]:
        """Returns the candidate's latents float32[4, h, w], with the change under patches over
        ``rectangles``."""
        if set(rectangles) != set(self._rectangles):
            smooth = smoothed_under(self._picture.rgb, rectangles, self._feather)
            self._latents = self._candidate.latents + (self._encoded(smooth) - self._plain_latents)
            self._rectangles = tuple(rectangles)
        return self._latents

    def saved_bytes(self, rectangles: Sequence[Rectangle]) -> list[float]:
        """Estimates the bytes that the latents under each of ``rectangles`` give back, if all are
        smoothed."""
        before, after = self._candidate.latents, self.latents(rectangles)
        level, refinement = self._candidate.header.level, self._candidate.refinement
        known = self._candidate.coding_pass
        scale = 1.0 if known is None else known.size / SizeEstimate(before, refinement).size(known.level)
        saved = []
        for rectangle in rectangles:
            part = _latents_around(rectangle, self._candidate.header)
            # The estimate begins at a position of the coarsest grid, and other patches may lie before it.
            alone = before.copy()
            alone[:, *part] = after[:, *part]
            crop = tuple(slice(side.start - side.start % BASE_SPACING, side.stop) for side in part)
            sizes = [
                SizeEstimate(latents[:, *crop], refinement[crop]).size(level) for latents in (before, alone)
            ]
            saved.append(scale * (sizes[0] - sizes[1]))
        return saved

    @cached_property
    def _plain_latents(self) -> NDArray[np.float32]:
        """The latents of the picture itself. They are computed only if a patch may pay."""
        return self._encoded(self._picture.rgb)

    def _encoded(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        header = self._candidate.header
        return encode_tiled(self._encoder, network_input(rgb, header), header.extension)


def _latents_around(rectangle: Rectangle, header: Header) -> tuple[slice, slice]:
    """Returns the rows and columns of the latents of a part of the picture and of those near to it."""
    shown, coded = (header.width, header.height), header.coded_size
    parts = []
    for axis in (1, 0):
        scale = coded[axis] / shown[axis] / SD1.factor
        start = max(int(rectangle[axis] * scale) - _REACH, 0)
        end = int(np.ceil((rectangle[axis] + rectangle[axis + 2]) * scale)) + _REACH
        parts.append(slice(start, end))
    return parts[0], parts[1]
