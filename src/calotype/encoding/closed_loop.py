"""Closed-loop encoding (analysis by synthesis): the encoder decodes its latents and corrects them.

::

    candidate ─ decoder ─┬─ colour error ──────────┐                          ┌───────── once more ────────┐
                         └─ round-trip correction ─┴─ colour correction ─ quantiser ─ decoder ─ colour error

A round trip through decoder D and encoder E attenuates latents: the latents q that a decoder reads come back
as E(D(q)). The round-trip correction adds this loss to the exact latents z beforehand, scaled by a gain g:
z + g (q - E(D(q))). It is one iteration of van Cittert's iteration for deconvolution ("Zum Einfluß der
Spaltbreite auf die Intensitätsverteilung in Spektrallinien", 1931), at the level at which the picture is
coded, because a decoder attenuates more at coarser levels.

A coarse quantiser leaves colour errors over tens of pixels, which are visible as tints and blotches. The
encoder measures the colour error in the decoded picture and moves the latents against it. A correction
smaller than the quantiser's step still has an effect, because the quantiser diffuses its errors
(``encoding.rdo``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.candidate import Candidate
from calotype.encoding.colour_error import LATENTS_PER_COLOUR, ColourError
from calotype.encoding.plan import Plan
from calotype.models import Encoder
from calotype.models.tiling import encode_tiled

__all__ = ["colour_corrected", "corrected_latents", "has_visible_tints", "round_trip_loss"]

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
    candidate: Candidate, decoded: NDArray[np.uint8], error: ColourError, plan: Plan, encoder: Encoder
) -> NDArray[np.float32]:
    """Returns the latents float32[4, h, w] of ``candidate`` with corrections.

    ``decoded`` uint8[8h, 8w, 3] are its decoded pixels, and ``error`` is their colour error. The latents must
    come from ``encoder``. If it is in the plan, they get the round-trip correction besides that of the
    colours.
    """
    latents, reconstruction = candidate.latents, candidate.reconstruction
    gain = _round_trip_gain(reconstruction.levels)
    if plan.round_trip and gain.any():
        latents = latents + gain * round_trip_loss(
            reconstruction.conditional_mean, decoded, encoder, candidate.header.extension
        )
    return colour_corrected(latents, error)


def round_trip_loss(
    latents: NDArray[np.float32], decoded: NDArray[np.uint8], encoder: Encoder, extension: int = 0
) -> NDArray[np.float32]:
    """Returns float32[4, h, w]: what decoding and encoding once more take from ``latents`` float32[4, h, w].

    ``decoded`` uint8[8h, 8w, 3] are their decoded pixels. For ``extension`` see :class:`DecoderInput`.
    """
    loss: NDArray[np.float32] = latents - encode_tiled(encoder, decoded, extension)
    return loss


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
