"""The palette coding of 2022: latents in 8 bits, vector quantisation to 256 colours, and zlib.

::

    latents ─ 8 bits ─ pixels uint8[h, w, 4] ─┬─ choose ─ palette uint8[256, 4] ─┬─ zlib ─ payload
                                              └─ dither ─ indices uint8[h, w] ───┘

The four channels of a latent position are taken for the four channels of a pixel, and one of 256 such pixels,
the colours of the palette, replaces each of them. Source: M. Bühlmann, "Stable Diffusion Based Image
Compression", 2022. His palette came from libimagequant, which treats the fourth channel as opacity; here all
channels count alike. docs/format.md, section 11, specifies the payload.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from calotype.errors import ChecksumError, TruncatedError

__all__ = [
    "COLOURS",
    "choose_palette",
    "dither_to_palette",
    "latents_from_bytes",
    "latents_to_bytes",
    "nearest_in_palette",
    "pack_palette_payload",
    "unpack_palette_payload",
]

COLOURS = 256
"""Number of colours in a palette. Unused entries of a small palette repeat the last colour."""

_PALETTE_BYTES = 4 * COLOURS
"""Size of a palette in the payload: the coding has four channels, whatever the latent space."""

_STEP = 0.18215**2
"""The change of a scaled latent for a change of 1 in its 8 bits; 0.18215 for an unscaled latent."""

_MAX_SAMPLED_POSITIONS = 1 << 16
"""About the largest number of positions from which a palette is chosen, to bound the time."""

_MAX_ITERATIONS = 20
"""The largest number of iterations of k-means."""

_POINTS_PER_PRODUCT = 1 << 14
"""Number of points whose distances to all colours are computed together, to bound the memory."""


def latents_to_bytes(latents: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Converts scaled latents float32[4, h, w] to uint8[h, w, 4]: 255 clamp(z / (255 * 0.18215) + 1/2).

    ``z`` is the unscaled latent.
    """
    unrounded = latents.transpose(1, 2, 0).astype(np.float64) / _STEP + 127.5
    return np.floor(unrounded.clip(0, 255) + 0.5).astype(np.uint8)


def latents_from_bytes(integers: NDArray[np.integer]) -> NDArray[np.float32]:
    """Converts integers 0..255 [4, h, w] of :func:`latents_to_bytes` to scaled latents float32[4, h, w].

    The result is (2 i - 255) * 0.18215**2 / 2, rounded once to a double and once to float32, and therefore
    the same on every machine.
    """
    return ((2 * integers.astype(np.int64) - 255) * 331786225 / 2e10).astype(np.float32)


def choose_palette(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Chooses a palette uint8[256, 4] for the pixels uint8[h, w, 4].

    The first colours come from a variance-based cut. k-means (Lloyd's algorithm) then reduces the squared
    error, until the colours stay the same or for ``_MAX_ITERATIONS`` iterations. If there are at most 256
    distinct colours, all are kept exactly. Large pictures are sampled at evenly spaced positions.
    """
    flat = pixels.reshape(-1, 4)
    sample = flat[:: -(-len(flat) // _MAX_SAMPLED_POSITIONS)]
    distinct = np.unique(sample, axis=0)
    if len(distinct) <= COLOURS:
        return np.pad(distinct, ((0, COLOURS - len(distinct)), (0, 0)), mode="edge")
    points = sample.astype(np.float64)
    colours = _variance_cut(points)
    for _ in range(_MAX_ITERATIONS):
        cluster = _closest_colours(points, colours)
        counts = np.bincount(cluster, minlength=COLOURS)
        sums = np.stack([np.bincount(cluster, points[:, channel], COLOURS) for channel in range(4)], 1)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], colours)
        if np.array_equal(means, colours):
            break
        colours = means
    return np.floor(colours + 0.5).astype(np.uint8)


def dither_to_palette(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns indices uint8[h, w] into ``palette`` for uint8[h, w, 4], by Floyd-Steinberg error diffusion.

    Each position adds 7/16 of the error of its left neighbour, and 1/16, 5/16 and 3/16 of the errors of the
    three positions above, to its own value. Positions with the same x + 2y do not depend on each other and
    are computed together.
    """
    height, width = pixels.shape[:2]
    colours = palette.astype(np.float64)
    indices = np.empty((height, width), np.uint8)
    errors = np.zeros((height + 1, width + 2, 4))  # padded by one row above and one column at each side
    for diagonal in range(width + 2 * height - 2):
        y = np.arange(max(0, (diagonal - width + 2) // 2), min(height - 1, diagonal // 2) + 1)
        x = diagonal - 2 * y
        diffused = 7 * errors[y + 1, x] + errors[y, x] + 5 * errors[y, x + 1] + 3 * errors[y, x + 2]
        target = pixels[y, x] + diffused / 16
        chosen = _closest_colours(target, colours)
        indices[y, x] = chosen
        errors[y + 1, x + 1] = target - colours[chosen]
    return indices


def nearest_in_palette(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns indices uint8[h, w] of the colours in ``palette`` that are nearest to uint8[h, w, 4]."""
    flat = pixels.reshape(-1, 4).astype(np.float64)
    return _closest_colours(flat, palette.astype(np.float64)).astype(np.uint8).reshape(pixels.shape[:2])


def pack_palette_payload(palette: NDArray[np.uint8], indices: NDArray[np.uint8]) -> bytes:
    """Packs palette uint8[256, 4] and indices uint8[h, w] into a payload: one zlib stream of level 9.

    The colours are sorted by their frequency, the most frequent one first, as in libimagequant's palettes.
    This makes the stream 1 % smaller.
    """
    order = np.argsort(-np.bincount(indices.ravel(), minlength=COLOURS), kind="stable")
    sorted_indices = np.argsort(order).astype(np.uint8)[indices]
    return zlib.compress(palette[order].tobytes() + sorted_indices.tobytes(), 9)


def unpack_palette_payload(payload: bytes, height: int, width: int) -> NDArray[np.int16]:
    """Unpacks a payload to the integers 0..255 of its latents, int16[4, height, width].

    It inflates at most one byte more than these integers need. Raises :class:`TruncatedError` or
    :class:`ChecksumError` unless the payload is one complete zlib stream of the right length.
    """
    size = _PALETTE_BYTES + height * width
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(payload, size + 1)
    except zlib.error as error:
        raise ChecksumError(f"the payload is not a valid zlib stream: {error}") from error
    if len(raw) < size:
        raise TruncatedError(f"the payload holds {len(raw)} bytes of palette and indices, not {size}")
    if len(raw) > size or not inflater.eof or inflater.unused_data:
        raise ChecksumError("the payload does not end where its last latent ends")
    palette = np.frombuffer(raw, np.uint8, _PALETTE_BYTES).reshape(COLOURS, 4)
    indices = np.frombuffer(raw, np.uint8, offset=_PALETTE_BYTES).reshape(height, width)
    return palette[indices].transpose(2, 0, 1).astype(np.int16)


def _closest_colours(points: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the index int64[N] of the colour [256, 4] that is nearest to each point [N, 4]."""
    # Of |point - colour|**2 the term |point|**2 is the same for all colours, and is left out.
    squared_norms = (colours**2).sum(1)
    starts = range(0, max(len(points), 1), _POINTS_PER_PRODUCT)
    parts = [points[start : start + _POINTS_PER_PRODUCT] for start in starts]
    return np.concatenate([(squared_norms - part @ (2 * colours.T)).argmin(1) for part in parts])


def _variance_cut(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divides points float64[N, 4] into 256 clusters and returns their means, float64[256, 4].

    The cluster and channel with the largest sum of squared errors are chosen, and the cluster is cut in two
    at the mean of that channel, until there are 256 clusters.
    """
    clusters = [points]
    errors = [((points - points.mean(0)) ** 2).sum(0)]
    while len(clusters) < COLOURS:
        worst = int(np.argmax([error.max() for error in errors]))
        cluster, channel = clusters[worst], int(errors[worst].argmax())
        below_mean = cluster[:, channel] <= cluster[:, channel].mean()
        halves = [cluster[below_mean], cluster[~below_mean]]
        clusters[worst : worst + 1] = halves
        errors[worst : worst + 1] = [((half - half.mean(0)) ** 2).sum(0) for half in halves]
    return np.array([cluster.mean(0) for cluster in clusters])
