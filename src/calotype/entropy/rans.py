"""Range asymmetric numeral systems: one state, 16-bit words, frequencies that sum to 2**16.

The state x stays in [2**24, 2**40). Coding a symbol that owns [start, start + freq) of the 2**16 values::

    x -> (x // freq) << 16 | start + x % freq          (encode, last symbol first)
    x -> freq * (x >> 16) + (x & 0xFFFF) - start       (decode, first symbol first)

Source: Duda, "Asymmetric numeral systems", 2013 (arXiv:1311.2540); docs/format.md, "Entropy coder".
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from calotype.errors import ChecksumError, TruncatedError

__all__ = ["PRECISION", "STATE_BYTES", "NotArrivedError", "RansDecoder", "encode_symbols", "max_symbol_count"]

PRECISION = 16
"""Frequencies sum to 2**16, and the words of a payload have 16 bits."""

STATE_BYTES = 5
"""The size of the state at the beginning of a payload."""

_MIN_STATE = 1 << 24
"""The initial state of the encoder. A decoder reads a word when its state is smaller."""

_LOW_WORD = (1 << PRECISION) - 1
"""The bits of the state that select a symbol."""


def encode_symbols(starts: Sequence[int], freqs: Sequence[int]) -> bytes:
    """Codes symbols, given in decoding order by their values, into a self-terminating byte string.

    ``starts[i] + freqs[i] <= 2**16`` and ``freqs[i] >= 1``. At most 5 bytes longer than the ideal code.
    """
    state = _MIN_STATE
    words: list[int] = []
    for start, freq in zip(reversed(starts), reversed(freqs), strict=True):
        if state >= freq << 24:
            words.append(state & _LOW_WORD)
            state >>= 16
        quotient, remainder = divmod(state, freq)
        state = (quotient << PRECISION) + start + remainder
    words.reverse()
    body = b"".join([word.to_bytes(2, "little") for word in words])
    return state.to_bytes(STATE_BYTES, "little") + body


def max_symbol_count(size: int) -> int:
    """Returns the largest number of symbols in ``size`` bytes, if no frequency exceeds 2**16 - 41.

    A symbol then multiplies the state by more than 2**(2**-11), and all of them together take it from 2**24
    to less than 2**(8 * size).
    """
    return max(size - 3, 0) << 14


class NotArrivedError(Exception):
    """Raised by :class:`RansDecoder` if the next bits have not arrived; the symbol decoder catches it."""


class RansDecoder:
    """Decodes the symbols of a payload that may still be arriving.

    A word is read only when the next symbol needs it. The decoder therefore returns every symbol that the
    arrived bytes determine, and no other. :meth:`finish` checks that exactly all bytes were consumed.
    """

    def __init__(self, data: bytes, size: int | None = None) -> None:
        """``data`` is the beginning of a payload of ``size`` bytes; None means all of it.

        Raises :class:`TruncatedError` if a payload of that size has no state, :class:`ChecksumError` if it
        is invalid.
        """
        self._size = len(data) if size is None else size
        if self._size < STATE_BYTES:
            raise TruncatedError(f"the payload has {self._size} bytes, fewer than the coder's state")
        if (self._size - STATE_BYTES) % 2:
            raise ChecksumError(f"the payload has {self._size} bytes: its last 16-bit word is incomplete")
        self._state: int | None = None
        self._words = array("H")
        self._words_read = 0
        self._incomplete = b""  # the last bytes: part of a state or of a word
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Appends the next bytes of the payload.

        Raises :class:`ChecksumError` if the payload starts with an invalid state.
        """
        unread = self._incomplete + data
        if self._state is None and len(unread) >= STATE_BYTES:
            self._state, unread = int.from_bytes(unread[:STATE_BYTES], "little"), unread[STATE_BYTES:]
            if self._state < _MIN_STATE:
                raise ChecksumError("the payload starts with an impossible coder state")
        if self._state is not None:
            whole = len(unread) // 2 * 2
            self._words.frombytes(np.frombuffer(unread[:whole], "<u2").astype(np.uint16).tobytes())
            unread = unread[whole:]
        self._incomplete = unread

    @property
    def complete(self) -> bool:
        """Returns whether all of the payload has arrived."""
        return self._state is not None and STATE_BYTES + 2 * len(self._words) >= self._size

    @property
    def consumed(self) -> int:
        """Returns the number of payload bytes that the symbols decoded so far take."""
        return STATE_BYTES + 2 * self._words_read

    def decode_symbols(self, tables: Sequence[list[int]]) -> list[int]:
        """Decodes one symbol with each table of ascending cumulative frequencies [0, ..., 2**16].

        The result has fewer symbols if the code of the others has not arrived. Raises
        :class:`TruncatedError` if the payload ends before them.
        """
        symbols: list[int] = []
        if self._state is None:
            return symbols
        state, position, words = self._state, self._words_read, self._words
        count = len(words)
        for table in tables:
            if state < _MIN_STATE:
                if position == count:
                    break
                state = state << 16 | words[position]
                position += 1
            low = state & _LOW_WORD
            symbol = bisect_right(table, low) - 1
            start = table[symbol]
            state = (table[symbol + 1] - start) * (state >> PRECISION) + low - start
            symbols.append(symbol)
        self._state, self._words_read = state, position
        if len(symbols) < len(tables) and self.complete:
            raise TruncatedError("the payload ends before the last latent")
        return symbols

    def decode_bits(self, count: int) -> int:
        """Decodes a number of ``count`` bypass bits, 0 to 16.

        Raises :class:`NotArrivedError`, or :class:`TruncatedError` if all of the payload has arrived.
        """
        if count == 0:
            return 0
        state = self._renormalised()
        shift = PRECISION - count
        low = state & _LOW_WORD
        value = low >> shift
        self._state = (state >> PRECISION << shift) + low - (value << shift)
        return value

    def mark(self) -> tuple[int | None, int]:
        """Returns the reading position, for :meth:`go_back`."""
        return self._state, self._words_read

    def go_back(self, mark: tuple[int | None, int]) -> None:
        """Returns to the reading position ``mark`` of :meth:`mark`."""
        self._state, self._words_read = mark

    def finish(self) -> None:
        """Raises :class:`ChecksumError` unless the stream is used up and the state is the initial one."""
        if self._renormalised() != _MIN_STATE or self._words_read != len(self._words):
            raise ChecksumError("the payload does not end where its last latent ends")

    def _renormalised(self) -> int:
        """Returns the state after reading the next word if the state is too small."""
        if self._state is None:
            raise NotArrivedError
        if self._state < _MIN_STATE:
            if self._words_read == len(self._words):
                if self.complete:
                    raise TruncatedError("the payload ends before the last latent")
                raise NotArrivedError
            self._state = self._state << 16 | self._words[self._words_read]
            self._words_read += 1
        return self._state
