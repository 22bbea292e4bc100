"""Analysis by synthesis: latents corrected by what the encoder sees in the decoder's picture of them.

A round trip through decoder D and encoder E weakens what a picture's latents z = E(x) say. So what it takes
away is put in beforehand: z + s (z - E(D(z))). It is one step of van Cittert's iteration for undoing a blur
("Zum Einfluß der Spaltbreite auf die Intensitätsverteilung in Spektrallinien", 1931), and takes one decode
and one encode.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.latents import FINEST, log_step_map
from calotype.models import Decoder, Encoder
from calotype.tiling import Coded, decode_tiled, encode_tiled

__all__ = ["EFFORT_CORRECTED", "corrected"]

EFFORT_CORRECTED = 7
"""From this effort up latents are corrected: below it encoding would take twice as long."""

_SHARE = 0.3
"""Of the difference; with more, or in more steps, the latents leave what other decoders of the space know."""


def corrected(encoder: Encoder, decoder: Decoder, latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Latents float32[4, h, w] of ``encoder`` as they show more of the picture through ``decoder``."""
    log_step = log_step_map(np.full(latents.shape[1:], FINEST))
    shown = decode_tiled(decoder, Coded(latents, log_step, np.zeros(4), expected=latents))
    found: NDArray[np.float32] = latents + np.float32(_SHARE) * (latents - encode_tiled(encoder, shown))
    return found
