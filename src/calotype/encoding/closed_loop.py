"""Analysis by synthesis: an encoder that looks at what its decoder shows.

::

    latents ─ scale, coding ─ corrected ─┬─ coding ─ decoder ─ what the local colours lack ─┐
                                         └──────────────── latents a little further ────────┘

A round trip through decoder D and encoder E weakens what a picture's latents z = E(x) say. So what it takes
away is put in beforehand: z + s (z - E(D(z))). It is one step of van Cittert's iteration for undoing a blur
("Zum Einfluß der Spaltbreite auf die Intensitätsverteilung in Spektrallinien", 1931), and takes one decode
and one encode.

The colours that a coarse step leaves are wrong over tens of pixels: tints and blotches, which the eye finds
at once. The encoder can see them in the picture that the file gives, and moves the latents against them.
Moves too small for one latent still count, for each makes up for its neighbours' errors (``latents.rdo``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, Header
from calotype.encoding.resolution import Scaled
from calotype.encoding.write import quantise_latents, write_latents
from calotype.errors import TargetSizeError
from calotype.latents import FINEST, Reconstruction, log_step_map
from calotype.models import Decoder, DecoderInput, Encoder
from calotype.models.tiling import decode_tiled, encode_tiled
from calotype.options import EncodeOptions

__all__ = ["closed_loop", "corrected", "is_looked_at", "is_thorough", "recoloured"]

_EFFORT, _EFFORT_ALWAYS = 5, 7
"""From the first effort up the encoder looks where a size is to be met, from the second up always."""

_SHARE = 0.3
"""Of the difference; with more, or in more steps, the latents leave what other decoders of the space know."""

_WHOLE, _NONE = 76, 92
"""Coarse steps hide what it gains: all of the share up to the first level, none of it from the second up."""

_TINTED = 64
"""A level beyond which the tints of a plain file can be seen."""

_ROUNDS = 2
"""A third is no better at equal bytes: each makes a file a hundredth larger."""

_SHARE_OF_COLOUR = 0.5
"""Of what the colours lack; with more the latents swing."""

_COLOUR = np.array(
    [
        [0.00813, 0.00364, -0.02014, -0.00278],
        [0.00734, 0.01927, 0.01725, 0.01066],
        [-0.00302, -0.00947, 0.00311, -0.01678],
    ],
    np.float32,
)
"""What one more of 255 in red, green or blue, all over a picture, adds to the four latents of ``sd1``.

Measured: least squares over 18 shifts of six photographs that no network was trained on.
"""


def is_thorough(options: EncodeOptions) -> bool:
    """Whether latents are to be :func:`corrected`.

    That takes longer than encoding once. So does the search for a size, and there it is done from effort 5
    up; where a quality is asked for, from effort 7 up.
    """
    searched = options.target_size is not None or options.bpp is not None
    return options.recipe == "lattice" and options.effort >= (_EFFORT if searched else _EFFORT_ALWAYS)


def is_looked_at(options: EncodeOptions, header: Header) -> bool:
    """Whether :func:`closed_loop` is for a file with this header: also if tints would show at its level."""
    tinted = header.level > _TINTED and options.effort >= _EFFORT
    return options.recipe == "lattice" and (tinted or is_thorough(options))


def closed_loop(
    made: Scaled, rgb: NDArray[np.uint8], encoder: Encoder, decoder: Decoder, chunks: tuple[Chunk, ...] = ()
) -> Scaled:
    """The lattice file ``made`` of the pixels ``rgb`` uint8[8h, 8w, 3], with colours nearer to theirs.

    Its latents are those of ``encoder``, and corrected first if its options are thorough. The result keeps to
    their size or quality; it is ``made`` itself if it is no nearer.
    """
    header, latents, options = made.file.header, made.latents, made.options
    lacking = before = _lacking(rgb, made.file.reconstruction, decoder)
    if is_thorough(options):
        latents = corrected(encoder, decoder, latents, _share_at(made.file.reconstruction.levels))
        lacking = _lacking(rgb, quantise_latents(latents, header, options, chunks), decoder)
    for left in reversed(range(_ROUNDS)):
        latents = recoloured(latents, lacking)
        if left:
            lacking = _lacking(rgb, quantise_latents(latents, header, options, chunks), decoder)
    try:
        file = write_latents(latents, header, options, chunks)
    except TargetSizeError:  # these need more bytes, if only a few
        return made
    if np.abs(_lacking(rgb, file.reconstruction, decoder)).sum() >= np.abs(before).sum():
        return made
    return Scaled(file, latents, options)


def corrected(
    encoder: Encoder,
    decoder: Decoder,
    latents: NDArray[np.float32],
    share: NDArray[np.float32] | float = _SHARE,
) -> NDArray[np.float32]:
    """Latents float32[4, h, w] of ``encoder`` as they show more of the picture through ``decoder``.

    ``share`` of the difference: one for all, or float32[h, w].
    """
    if not np.any(share):
        return latents
    levels = np.full(latents.shape[1:], FINEST, np.int64)
    shown = _shown(Reconstruction(latents, levels, conditional_mean=latents), decoder)
    lacking = latents - encode_tiled(encoder, shown)
    found: NDArray[np.float32] = latents + np.asarray(share, np.float32) * lacking
    return found


def recoloured(latents: NDArray[np.float32], lacking: NDArray[np.float32]) -> NDArray[np.float32]:
    """Latents float32[4, h, w] moved so that the picture gets half of the colours it lacks.

    ``lacking`` float32[3, h, w], in 255ths of red, green and blue.
    """
    shift = np.tensordot(_COLOUR, lacking, axes=(0, 0))
    moved: NDArray[np.float32] = latents + np.float32(_SHARE_OF_COLOUR) * shift
    return moved


def _share_at(levels: NDArray[np.int64]) -> NDArray[np.float32]:
    share = _SHARE * np.clip((_NONE - levels) / (_NONE - _WHOLE), 0, 1)
    return share.astype(np.float32)


def _shown(found: Reconstruction, decoder: Decoder) -> NDArray[np.uint8]:
    """uint8[8h, 8w, 3], at the size that is coded."""
    noise = np.zeros(len(found.latents))
    return decode_tiled(
        decoder, DecoderInput(found.latents, log_step_map(found.levels), noise, found.conditional_mean)
    )


def _lacking(rgb: NDArray[np.uint8], found: Reconstruction, decoder: Decoder) -> NDArray[np.float32]:
    """What the mean colours of 8x8 pixels lack, smoothed over neighbours, float32[3, h, w]."""
    error = _cell_means(rgb) - _cell_means(_shown(found, decoder))
    for axis in (1, 2):
        ends = [(1, 1) if axis == at else (0, 0) for at in range(3)]
        near = np.moveaxis(np.pad(error, ends, mode="edge"), axis, 0)
        error = np.moveaxis((near[:-2] + 2 * near[1:-1] + near[2:]) / 4, 0, axis)
    return error


def _cell_means(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8[8h, 8w, 3] to float32[3, h, w]."""
    height, width = rgb.shape[0] // 8, rgb.shape[1] // 8
    means: NDArray[np.float32] = rgb.reshape(height, 8, width, 8, 3).mean((1, 3), dtype=np.float32)
    return means.transpose(2, 0, 1)
