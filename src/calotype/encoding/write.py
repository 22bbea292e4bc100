"""From a candidate to the bytes of its file, which are verified: decoded again and compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calotype.container import parse, serialise
from calotype.decoding import checksum_of, decode_latents
from calotype.encoding.candidate import Candidate
from calotype.errors import CalotypeError
from calotype.latents import noise_codes
from calotype.limits import Limits

__all__ = ["write"]

_LIMITS = Limits(max_pixels=1 << 28, max_chunk_bytes=1 << 32, max_metadata_bytes=1 << 32)
"""For verifying: the caller's own limits were checked before."""


def write(candidate: Candidate) -> bytes:
    """The file of a candidate, verified. Raises :class:`CalotypeError` if it does not decode to the same."""
    reconstruction, integers, payload = candidate.reconstruction, candidate.integers, candidate.payload
    noise = noise_codes(candidate.latents, reconstruction.latents, reconstruction.levels)
    header = replace(candidate.header, noise=noise)
    data = serialise(header, payload, checksum_of(header, integers, payload), candidate.chunks)
    decoded = decode_latents(parse(data, limits=_LIMITS, strict=True))
    if not np.array_equal(decoded.latents, reconstruction.latents):
        raise CalotypeError("the encoder could not read back what it wrote; please report this picture")
    return data
