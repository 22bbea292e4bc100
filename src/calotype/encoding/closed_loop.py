"""Closed-loop encoding (analysis by synthesis): the encoder decodes its latents and corrects them.

::

    candidate ─ decoder ─ colour error ─┐                          ┌───────── once more ────────┐
        └─ round-trip correction ───────┴─ colour correction ─ quantiser ─ decoder ─ colour error

A round trip through decoder D and encoder E attenuates the latents z = E(x) of a picture x. The round-trip
correction adds the loss beforehand, scaled by a gain g: z + g (z - E(D(z))). This is one iteration of van
Cittert's iteration for deconvolution ("Zum Einfluß der Spaltbreite auf die Intensitätsverteilung in
Spektrallinien", 1931). It takes one decode and one encode.

A coarse quantiser leaves colour errors over tens of pixels, which are visible as tints and blotches. The
encoder measures the colour error in the decoded picture and moves the latents against it. A correction
smaller than the quantiser's step still has an effect, because the quantiser diffuses its errors
(``encoding.rdo``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.candidate import Candidate
from calotype.encoding.colour_error import LATENTS_PER_COLOUR, ColourError, decoded_pixels
from calotype.encoding.plan import Plan
from calotype.latents import FINEST, Reconstruction
from calotype.models import Decoder, Encoder
from calotype.models.tiling import encode_tiled

__all__ = ["colour_corrected", "corrected_latents", "has_visible_tints", "round_trip_corrected"]

_GAIN = 0.3
"""Gain of the round-trip correction. With a larger gain, or more iterations, other decoders of the space give
worse pictures."""

_FULL_GAIN_LEVEL, _NO_GAIN_LEVEL = 76, 92
"""Levels between which the gain of the round-trip correction falls linearly to 0: coarser steps hide it."""

_TINTED_LEVEL = 64
"""The level above which colour errors of a file without closed-loop encoding are visible."""

_COLOUR_GAIN = 0.5
"""Gain of an iteration of the colour correction; with a larger gain the iterations oscillate. Each makes a
file 1 % larger; a third one does not pay at equal bytes."""


def has_visible_tints(candidate: Candidate) -> bool:
    """Returns whether colour errors are visible at the candidate's level."""
    return candidate.header.level > _TINTED_LEVEL


def corrected_latents(
    candidate: Candidate, error: ColourError, plan: Plan, encoder: Encoder, decoder: Decoder
) -> NDArray[np.float32]:
    """Returns latents float32[4, h, w] with the colour correction for ``error``, that of ``candidate``.

    The latents of ``candidate`` must come from ``encoder``. If it is in the plan, they get the round-trip
    correction too.
    """
    latents = candidate.latents
    if plan.round_trip:
        gain = _round_trip_gain(candidate.reconstruction.levels)
        latents = round_trip_corrected(encoder, decoder, latents, gain, candidate.header.extension)
    return colour_corrected(latents, error)


def round_trip_corrected(
    encoder: Encoder,
    decoder: Decoder,
    latents: NDArray[np.float32],
    gain: NDArray[np.float32] | float = _GAIN,
    extension: int = 0,
) -> NDArray[np.float32]:
    """Applies the round-trip correction to latents float32[4, h, w] of ``encoder``.

    ``gain`` multiplies the loss of a round trip; it is a number or float32[h, w]. For ``extension`` see
    :class:`DecoderInput`.
    """
    if not np.any(gain):
        return latents
    levels = np.full(latents.shape[1:], FINEST, np.int64)
    decoded = decoded_pixels(Reconstruction(latents, levels, conditional_mean=latents), decoder, extension)
    loss = latents - encode_tiled(encoder, decoded, extension)
    corrected: NDArray[np.float32] = latents + np.asarray(gain, np.float32) * loss
    return corrected


def colour_corrected(latents: NDArray[np.float32], error: NDArray[np.float32]) -> NDArray[np.float32]:
    """Moves latents float32[4, h, w] against the colour error, by ``_COLOUR_GAIN`` of it.

    ``error`` is float32[3, h, w], in units of 1/255 of red, green and blue.
    """
    shift = np.tensordot(LATENTS_PER_COLOUR, error, axes=(0, 0))
    moved: NDArray[np.float32] = latents + np.float32(_COLOUR_GAIN) * shift
    return moved


def _round_trip_gain(levels: NDArray[np.int64]) -> NDArray[np.float32]:
    gain = _GAIN * np.clip((_NO_GAIN_LEVEL - levels) / (_NO_GAIN_LEVEL - _FULL_GAIN_LEVEL), 0, 1)
    return gain.astype(np.float32)
