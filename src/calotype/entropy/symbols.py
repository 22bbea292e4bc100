"""Residuals to rANS symbols and back: what happens at each prediction of a coding pass.

A residual r is one symbol of its table when |r| <= 20, otherwise the escape. After the symbols of one
prediction come, position by position, the unmodelled bits: for an escape a sign, the bit length of
|r| - 20 less one in 4 bits and the bits below the leading one; then the ``fine`` low bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.coding_pass import CHANNELS, PassResult, Prediction, coding_pass
from calotype.entropy.model import ContextModel
from calotype.entropy.rans import PRECISION, RansDecoder, encode_symbols, most_symbols
from calotype.entropy.tables import ESCAPE, REACH, FrequencyTables
from calotype.errors import ChecksumError, TruncatedError

__all__ = ["LARGEST", "SymbolDecoder", "SymbolEncoder", "decode_integers"]

LARGEST = (1 << 15) - 1
"""Largest magnitude of a coded integer."""
_LENGTH_BITS = 4


class SymbolEncoder:
    """Collects the symbols of a coding pass; :meth:`finish` makes the payload."""

    def __init__(self, tables: FrequencyTables) -> None:
        self._tables = tables
        self._starts: list[int] = []
        self._freqs: list[int] = []

    def put(self, chosen: NDArray[np.int64], prediction: Prediction) -> None:
        """Codes int64[N] integers, |q| <= 32767, of one prediction."""
        slots = prediction.slots
        residual, symbol = slots.residuals(chosen), slots.symbols(chosen)
        self._starts += self._tables.starts[slots.table, symbol].tolist()
        self._freqs += self._tables.frequencies[slots.table, symbol].tolist()
        for index in np.flatnonzero((symbol == ESCAPE) | (slots.fine > 0)).tolist():
            if symbol[index] == ESCAPE:
                self._escape(int(residual[index]))
            fine = int(slots.fine[index])
            self._bits(int(chosen[index]) & ((1 << fine) - 1), fine)

    def _escape(self, residual: int) -> None:
        excess = abs(residual) - REACH
        length = excess.bit_length() - 1
        self._bits(int(residual < 0), 1)
        self._bits(length, _LENGTH_BITS)
        self._bits(excess - (1 << length), length)

    def _bits(self, value: int, count: int) -> None:
        self._starts.append(value << (PRECISION - count))
        self._freqs.append(1 << (PRECISION - count))

    def finish(self) -> bytes:
        return encode_symbols(self._starts, self._freqs)


class SymbolDecoder:
    """The symbol coder that reads integers from a payload."""

    def __init__(self, tables: FrequencyTables, payload: bytes) -> None:
        self._rows = tables.rows
        self._rans = RansDecoder(payload)

    def __call__(self, prediction: Prediction) -> NDArray[np.int64]:
        """The integers of one prediction, int64[N]; raises :class:`ChecksumError` for impossible ones."""
        slots = prediction.slots
        symbol = np.array(self._rans.symbols([self._rows[at] for at in slots.table.tolist()]), np.int64)
        chosen = (symbol - REACH + slots.centre) << slots.fine
        for index in np.flatnonzero((symbol == ESCAPE) | (slots.fine > 0)).tolist():
            fine = int(slots.fine[index])
            if symbol[index] == ESCAPE:
                chosen[index] = (self._escape() + int(slots.centre[index])) << fine
            chosen[index] += self._rans.bits(fine)
        if np.abs(chosen).max() > LARGEST:
            raise ChecksumError("the payload decodes to a latent out of range")
        return chosen

    def _escape(self) -> int:
        negative = self._rans.bits(1)
        length = self._rans.bits(_LENGTH_BITS)
        magnitude = REACH + (1 << length) + self._rans.bits(length)
        return -magnitude if negative else magnitude

    def finish(self) -> None:
        """Raises :class:`ChecksumError` unless the payload ends exactly here."""
        self._rans.finish()


def decode_integers(
    model: ContextModel,
    payload: bytes,
    levels: NDArray[np.int64],
    steps: NDArray[np.int64],
    offsets: tuple[int, ...],
    *,
    dtype: type[np.float32] | type[np.int64] | None = None,
) -> PassResult:
    """Payload to integer latents; the arguments are those of :func:`coding_pass`.

    Raises :class:`TruncatedError` or :class:`ChecksumError` unless the payload is consumed exactly; at once,
    whatever size is claimed, if it is too short for so many integers.
    """
    count = CHANNELS * levels.size
    if count > most_symbols(len(payload)):
        raise TruncatedError(f"the payload has {len(payload)} bytes, too few for any {count} integers")
    stream = SymbolDecoder(model.tables, payload)
    coded = coding_pass(model, levels, steps, offsets, stream, dtype=dtype)
    stream.finish()
    return coded
