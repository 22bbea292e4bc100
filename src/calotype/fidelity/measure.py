"""The fidelity of a decoded picture: structure that the original lacks, and structure that is lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.connected import connected_parts
from calotype.errors import SourceError
from calotype.fidelity.calibration import load_calibration
from calotype.fidelity.statistics import BLOCK, compare_activations
from calotype.imaging import over_white
from calotype.latents import SD1
from calotype.models import FeatureNetwork
from calotype.models.tiling import pixels_to_unit_range
from calotype.models.windows import full_parts, tile_windows

__all__ = ["Fidelity", "FidelityRegion", "measure_fidelity", "picture_fidelity"]

_TILE = 160
"""The side of what is kept of a tile, in latent positions."""

_THRESHOLD = 0.5
"""The least score of a changed block."""

_WORST_FRACTION = 0.01
"""The score of a picture is the mean over this fraction of its blocks, those with the largest scores."""

_CLEAR_RATIO = 1.5
"""A region is called "invented" or "lost" if one mean score is at least so many times the other."""

_INVENTED_COLOUR, _LOST_COLOUR = (255, 60, 0), (0, 90, 255)
_DIMMED = 0.6
"""The brightness of the picture under a heat map."""


@dataclass(frozen=True)
class FidelityRegion:
    """Connected blocks that are changed: their box in pixels of the picture, and mean scores, 0 to 1."""

    left: int
    top: int
    width: int
    height: int
    invented: float
    lost: float

    @property
    def kind(self) -> str:
        """ "invented" or "lost" where one score is clearly larger, otherwise "replaced"."""
        if self.invented > _CLEAR_RATIO * self.lost:
            return "invented"
        return "lost" if self.lost > _CLEAR_RATIO * self.invented else "replaced"

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields and the kind as plain values, ready for JSON."""
        return {**asdict(self), "kind": self.kind}

    def __str__(self) -> str:
        place = f"{self.left},{self.top},{self.width},{self.height}"
        return f"{self.kind:<8} {place:<18} invented {self.invented:.3f}, lost {self.lost:.3f}"


@dataclass(frozen=True, eq=False)
class Fidelity:
    """The scores of a decoded picture of ``width`` x ``height`` pixels, for blocks of 16x16.

    ``invented`` float32[h, w], 0 to 1, is the score for structure that the original lacks, and ``lost`` that
    for structure of the original that the block lacks. A score is the probability of a planted edit, on the
    assumption that half of the blocks have one.
    """

    width: int
    height: int
    invented: NDArray[np.float32]
    lost: NDArray[np.float32]

    @property
    def invention(self) -> float:
        """Returns the mean of ``invented`` over the hundredth of the blocks where it is largest; at least
        one."""
        return _mean_of_worst(self.invented)

    @property
    def loss(self) -> float:
        """Returns the mean of ``lost`` over the hundredth of the blocks where it is largest; at least one."""
        return _mean_of_worst(self.lost)

    @property
    def changed(self) -> float:
        """Returns the fraction of the blocks with a score above one half."""
        return float((self._larger > _THRESHOLD).mean())

    @property
    def _larger(self) -> NDArray[np.float32]:
        larger: NDArray[np.float32] = np.maximum(self.invented, self.lost)
        return larger

    def regions(self, count: int = 5) -> list[FidelityRegion]:
        """Returns at most ``count`` regions of changed blocks; the first has the largest sum of scores."""
        found = []
        for rows, columns in connected_parts(self._larger > _THRESHOLD):
            top, left = BLOCK * int(rows.min()), BLOCK * int(columns.min())
            bottom, right = BLOCK * (int(rows.max()) + 1), BLOCK * (int(columns.max()) + 1)
            region = FidelityRegion(
                left,
                top,
                min(right, self.width) - left,
                min(bottom, self.height) - top,
                round(float(self.invented[rows, columns].mean()), 3),
                round(float(self.lost[rows, columns].mean()), 3),
            )
            found.append((float(self._larger[rows, columns].sum()), region))
        return [region for _, region in sorted(found, key=lambda pair: -pair[0])[:count]]

    def as_dict(self) -> dict[str, Any]:
        """Returns the scores of the picture as plain values, ready for JSON."""
        values = {name: getattr(self, name) for name in ("invention", "loss", "changed")}
        return {name: round(value, 4) for name, value in values.items()}

    def heat_map(self, picture: Image.Image) -> Image.Image:
        """Returns the ``picture`` in grey, with invented structure in red and lost structure in blue."""
        under = np.asarray(picture.convert("L"), np.float32)[..., None] * np.float32(_DIMMED)
        heat = under.repeat(3, -1)
        for scores, colour in ((self.lost, _LOST_COLOUR), (self.invented, _INVENTED_COLOUR)):
            cover = np.kron(scores, np.ones((BLOCK, BLOCK), np.float32))[: self.height, : self.width, None]
            heat += np.clip(2 * cover - 1, 0, 1) * (np.array(colour, np.float32) - heat) * np.float32(0.7)
        return Image.fromarray(np.clip(heat + 0.5, 0, 255).astype(np.uint8))


def picture_fidelity(
    original: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None,
    decoded: Image.Image,
    network: FeatureNetwork,
) -> Fidelity:
    """Returns the fidelity of a ``decoded`` picture to its ``original`` uint8[H, W, 3] and ``alpha``.

    Both are composited over white; ``alpha`` is uint8[H, W], or None if the original is opaque. ``network``
    has the activations of the calibration. Raises :class:`SourceError` for pictures of different sizes.
    """
    height, width = original.shape[:2]
    if decoded.size != (width, height):
        has = f"{decoded.width}x{decoded.height}"
        raise SourceError(f"the photograph has {width}x{height} pixels, but the file's picture {has}")
    decoded_alpha = np.asarray(decoded.getchannel("A")) if decoded.mode.endswith("A") else None
    pixels = np.asarray(decoded.convert("RGBA").convert("RGB"))
    return measure_fidelity(over_white(original, alpha), over_white(pixels, decoded_alpha), network)


def measure_fidelity(
    original: NDArray[np.uint8], decoded: NDArray[np.uint8], network: FeatureNetwork
) -> Fidelity:
    """Returns the fidelity of ``decoded`` to ``original``, both uint8[H, W, 3] in sRGB.

    ``network`` is that of :func:`picture_fidelity`.
    """
    height, width = original.shape[:2]
    beyond = ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0))
    pair = [np.pad(rgb, beyond, mode="edge") for rgb in (original, decoded)]
    invented, lost = _block_scores(pair[0], pair[1], network)
    return Fidelity(width, height, invented, lost)


def _block_scores(
    original: NDArray[np.uint8], decoded: NDArray[np.uint8], network: FeatureNetwork
) -> NDArray[np.float32]:
    """Returns the scores float32[2, h, w] of pictures uint8[16h, 16w, 3], tile by tile."""
    calibration = load_calibration()
    latents = BLOCK // SD1.factor  # along the side of a block
    height, width = (side // BLOCK for side in original.shape[:2])
    scores = np.empty((2, height, width), np.float32)
    rows, columns = (full_parts(latents * side, _TILE) for side in (height, width))
    for window in tile_windows(rows, columns, network.margin):
        read = window.scaled(SD1.factor).read
        seen, shown = (network.features(pixels_to_unit_range(rgb[read])) for rgb in (original, decoded))
        (top, left), (inner_top, inner_left) = (
            [slice(part.start // latents, part.stop // latents) for part in area]
            for area in (window.kept, window.inner)
        )
        terms = compare_activations(seen, shown, calibration.scales)
        scores[:, top, left] = calibration.scores(terms)[:, inner_top, inner_left]
    return scores


def _mean_of_worst(scores: NDArray[np.float32]) -> float:
    count = max(1, round(_WORST_FRACTION * scores.size))
    return float(np.sort(scores, axis=None)[-count:].mean())
