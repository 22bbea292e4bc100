"""The recipe of September 2022: latents in 8 bits, 256 colours with error diffusion, zlib.

::

    latents ── to_bytes ── pixels uint8[h, w, 4] ─┬─ palette_of ── palette uint8[256, 4] ─┬─ pack ── payload
                                                  └─ dither, or nearest ── indices ───────┘

Source: M. Bühlmann, "Stable Diffusion Based Image Compression", 2022. The original's library treats the
fourth channel as opacity; here all four channels are equal. docs/format.md ("Palette coding") specifies
the payload.
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
_PALETTE_BYTES = 4 * COLOURS  # this coding is for four channels (docs/format.md), whatever the space
_STEP = 0.18215**2  # Scaled-latent units per unit of the 8 bits, or 0.18215 unscaled units.
_SAMPLE = 1 << 16  # Positions from which the palette is computed.
_ROUNDS = 20
_BLOCK = 1 << 14


def latents_to_bytes(latents: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Converts scaled latents float32[4, h, w] to uint8[h, w, 4]: 255 clamp(z / (255 * 0.18215) + 1/2).

    ``z`` is the unscaled latent.
    """
    exact = latents.transpose(1, 2, 0).astype(np.float64) / _STEP + 127.5
    return np.floor(exact.clip(0, 255) + 0.5).astype(np.uint8)


def latents_from_bytes(integers: NDArray[np.integer]) -> NDArray[np.float32]:
    """Converts integers 0..255 [4, h, w] of :func:`latents_to_bytes` to scaled latents float32[4, h, w].

    The result is (2 i - 255) * 0.18215**2 / 2, rounded once to a double and once to float32, and therefore
    the same on every machine.
    """
    return ((2 * integers.astype(np.int64) - 255) * 331786225 / 2e10).astype(np.float32)


def choose_palette(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Chooses 256 colours, uint8[256, 4], for uint8[h, w, 4] by a cut by variance and k-means (Lloyd).

    If there are at most 256 distinct colours, all are kept exactly, and the last one fills the palette. Large
    pictures are sampled at about 65,536 evenly spaced positions.
    """
    flat = pixels.reshape(-1, 4)
    sample = flat[:: -(-len(flat) // _SAMPLE)]
    distinct = np.unique(sample, axis=0)
    if len(distinct) <= COLOURS:
        return np.pad(distinct, ((0, COLOURS - len(distinct)), (0, 0)), mode="edge")
    points = sample.astype(np.float64)
    colours = _variance_cut(points)
    for _ in range(_ROUNDS):
        owner = _closest_colours(points, colours)
        count = np.bincount(owner, minlength=COLOURS)
        total = np.stack([np.bincount(owner, points[:, c], COLOURS) for c in range(4)], 1)
        moved = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], colours)
        if np.array_equal(moved, colours):
            break
        colours = moved
    return np.floor(colours + 0.5).astype(np.uint8)


def dither_to_palette(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns indices uint8[h, w] into ``palette`` for uint8[h, w, 4], by Floyd-Steinberg error diffusion.

    A position depends on the errors of its left neighbour and of three positions in the row above, so that
    all positions with equal x + 2y are computed together.
    """
    height, width = pixels.shape[:2]
    colours = palette.astype(np.float64)
    indices = np.empty((height, width), np.uint8)
    errors = np.zeros((height + 1, width + 2, 4))  # one row above and one column at each side, without error
    for front in range(width + 2 * height - 2):
        y = np.arange(max(0, (front - width + 2) // 2), min(height - 1, front // 2) + 1)
        x = front - 2 * y
        spread = 7 * errors[y + 1, x] + errors[y, x] + 5 * errors[y, x + 1] + 3 * errors[y, x + 2]
        wanted = pixels[y, x] + spread / 16
        chosen = _closest_colours(wanted, colours)
        indices[y, x] = chosen
        errors[y + 1, x + 1] = wanted - colours[chosen]
    return indices


def nearest_in_palette(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns indices uint8[h, w] of the colours in ``palette`` that are nearest to uint8[h, w, 4]."""
    flat = pixels.reshape(-1, 4).astype(np.float64)
    return _closest_colours(flat, palette.astype(np.float64)).astype(np.uint8).reshape(pixels.shape[:2])


def pack_palette_payload(palette: NDArray[np.uint8], indices: NDArray[np.uint8]) -> bytes:
    """Packs palette uint8[256, 4] and indices uint8[h, w] into a payload: one zlib stream of level 9.

    The most frequent colours come first, as in libimagequant's palettes; this saves 1 % of the stream.
    """
    order = np.argsort(-np.bincount(indices.ravel(), minlength=COLOURS), kind="stable")
    renamed = np.argsort(order).astype(np.uint8)[indices]
    return zlib.compress(palette[order].tobytes() + renamed.tobytes(), 9)


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
    norms = (colours**2).sum(1)
    blocks = [points[i : i + _BLOCK] for i in range(0, max(len(points), 1), _BLOCK)]
    return np.concatenate([(norms - block @ (2 * colours.T)).argmin(1) for block in blocks])


def _variance_cut(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns 256 means, float64[256, 4]: the box with the largest error is cut at its mean repeatedly."""
    boxes = [points]
    errors = [((points - points.mean(0)) ** 2).sum(0)]
    while len(boxes) < COLOURS:
        worst = int(np.argmax([error.max() for error in errors]))
        box, axis = boxes[worst], int(errors[worst].argmax())
        low = box[:, axis] <= box[:, axis].mean()
        halves = [box[low], box[~low]]
        boxes[worst : worst + 1] = halves
        errors[worst : worst + 1] = [((half - half.mean(0)) ** 2).sum(0) for half in halves]
    return np.array([box.mean(0) for box in boxes])
