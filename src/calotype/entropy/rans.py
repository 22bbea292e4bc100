"""Range asymmetric numeral systems: one state, 16-bit words, frequencies that sum to 2**16.

The state x stays in [2**24, 2**40). Coding a symbol that owns [start, start + freq) of the 2**16 slots::

    x -> (x // freq) << 16 | start + x % freq          (encode, last symbol first)
    x -> freq * (x >> 16) + (x & 0xFFFF) - start       (decode, first symbol first)

Source: Duda, "Asymmetric numeral systems", 2013 (arXiv:1311.2540); docs/format.md, "Entropy coder".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from calotype.errors import ChecksumError, TruncatedError

__all__ = ["PRECISION", "STATE_BYTES", "RansDecoder", "encode_symbols", "most_symbols"]

PRECISION = 16
STATE_BYTES = 5
_LOWEST = 1 << 24
_MASK = (1 << PRECISION) - 1


def encode_symbols(starts: Sequence[int], freqs: Sequence[int]) -> bytes:
    """Code symbols, given in decoding order by their slots, into a self-terminating byte string.

    ``starts[i] + freqs[i] <= 2**16`` and ``freqs[i] >= 1``. At most 5 bytes longer than the ideal code.
    """
    state = _LOWEST
    words: list[int] = []
    for start, freq in zip(reversed(starts), reversed(freqs), strict=True):
        if state >= freq << 24:
            words.append(state & _MASK)
            state >>= 16
        quotient, remainder = divmod(state, freq)
        state = (quotient << PRECISION) + start + remainder
    words.reverse()
    body = b"".join([word.to_bytes(2, "little") for word in words])
    return state.to_bytes(STATE_BYTES, "little") + body


def most_symbols(size: int) -> int:
    """No ``size`` bytes hold more symbols than this, if each has a frequency of at most 2**16 - 41.

    A symbol then multiplies the state by more than 2**(2**-11), and all of them together take it from 2**24
    to less than 2**(8 * size).
    """
    return max(size - 3, 0) << 14


class RansDecoder:
    """Reads symbols back; :meth:`finish` proves that exactly the written bytes were consumed."""

    def __init__(self, data: bytes) -> None:
        """Raises :class:`TruncatedError` if there is no state, :class:`ChecksumError` if it is invalid."""
        if len(data) < STATE_BYTES:
            raise TruncatedError(f"the payload has {len(data)} bytes, fewer than the coder's state")
        if (len(data) - STATE_BYTES) % 2:
            raise ChecksumError(f"the payload has {len(data)} bytes: an odd number of coder words")
        self._state = int.from_bytes(data[:STATE_BYTES], "little")
        if self._state < _LOWEST:
            raise ChecksumError("the payload starts with an impossible coder state")
        self._words = np.frombuffer(data[STATE_BYTES:], "<u2").astype(np.uint16).data
        self._at = 0

    def symbols(self, rows: Sequence[list[int]]) -> list[int]:
        """One symbol for each row; a row is the ascending cumulative frequencies [0, ..., 2**16]."""
        state, at, words, out = self._state, self._at, self._words, []
        count = len(words)
        for row in rows:
            slot = state & _MASK
            symbol = bisect_right(row, slot) - 1
            start = row[symbol]
            state = (row[symbol + 1] - start) * (state >> PRECISION) + slot - start
            if state < _LOWEST:
                if at == count:
                    raise TruncatedError("the payload ends before the last latent")
                state = state << 16 | words[at]
                at += 1
            out.append(symbol)
        self._state, self._at = state, at
        return out

    def bits(self, count: int) -> int:
        """An unmodelled number of ``count`` bits, 0 to 16."""
        shift = PRECISION - count
        slot = self._state & _MASK
        value = slot >> shift
        self._state = (self._state >> PRECISION << shift) + slot - (value << shift)
        if self._state < _LOWEST:
            if self._at == len(self._words):
                raise TruncatedError("the payload ends before the last latent")
            self._state = self._state << 16 | self._words[self._at]
            self._at += 1
        return value

    def finish(self) -> None:
        """Raises :class:`ChecksumError` unless the stream is used up and the state is the initial one."""
        if self._at != len(self._words) or self._state != _LOWEST:
            raise ChecksumError("the payload does not end where its last latent ends")
