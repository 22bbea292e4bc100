"""Writes the file of a candidate, and verifies it: the encoder decodes its own output and compares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calotype.container import parse_file, serialise_file
from calotype.decoding import decode_latents, integers_checksum
from calotype.encoding.candidate import Candidate
from calotype.errors import CalotypeError
from calotype.latents import noise_codes
from calotype.limits import Limits

__all__ = ["write_verified_file"]

_LIMITS = Limits(max_pixels=1 << 28, max_chunk_bytes=1 << 32, max_metadata_bytes=1 << 32)
"""The limits for verification. The caller's limits were checked before."""


def write_verified_file(candidate: Candidate) -> bytes:
    """Returns the verified file of a candidate.

    Raises :class:`CalotypeError` if the file does not decode to the latents of the candidate.
    """
    reconstruction, integers, payload = candidate.reconstruction, candidate.integers, candidate.payload
    noise = noise_codes(candidate.latents, reconstruction.latents, reconstruction.levels)
    header = replace(candidate.header, noise=noise)
    data = serialise_file(header, payload, integers_checksum(header, integers, payload), candidate.chunks)
    decoded = decode_latents(parse_file(data, limits=_LIMITS, strict=True))
    if not np.array_equal(decoded.latents, reconstruction.latents):
        raise CalotypeError("the encoded file does not decode to its own latents: please report this picture")
    return data
