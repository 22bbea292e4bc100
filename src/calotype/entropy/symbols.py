"""The symbol coders: residuals to rANS symbols and back, at each prediction of a coding pass.

A residual r is one symbol of its table when |r| <= 20, otherwise the escape. After the symbols of one
prediction come, position by position, the unmodelled bits. An escape codes e = |r| - 20 as in Exp-Golomb
codes: the sign of r, floor(log2 e) in 4 bits, then the bits of e below its leading one. Where the table's
quantised prediction has ``fine`` > 0, so many low bits of the integer follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.coding_pass import Prediction
from calotype.entropy.rans import PRECISION, NotArrivedError, RansDecoder, encode_symbols
from calotype.entropy.tables import ESCAPE, MAX_RESIDUAL, FrequencyTables
from calotype.errors import ChecksumError, TruncatedError

__all__ = ["LARGEST", "SymbolDecoder", "SymbolEncoder"]

LARGEST = (1 << 15) - 1
"""Largest magnitude of a coded integer."""
_LENGTH_BITS = 4

_ROWS_AT_ONCE = 4096
"""The number of symbols whose tables are looked up together; a short piece of payload fills few of them."""


class SymbolEncoder:
    """The symbol encoder, which collects the symbols of a coding pass; :meth:`finish` returns the payload."""

    def __init__(self, tables: FrequencyTables) -> None:
        self._tables = tables
        self._starts: list[int] = []
        self._freqs: list[int] = []

    def put(self, chosen: NDArray[np.int64], prediction: Prediction) -> None:
        """Codes int64[N] integers, |q| <= 32767, of one prediction."""
        quantised = prediction.quantised
        residual, symbol = quantised.residuals(chosen), quantised.symbols(chosen)
        self._starts += self._tables.starts[quantised.table_index, symbol].tolist()
        self._freqs += self._tables.frequencies[quantised.table_index, symbol].tolist()
        for index in np.flatnonzero((symbol == ESCAPE) | (quantised.fine > 0)).tolist():
            if symbol[index] == ESCAPE:
                self._escape(int(residual[index]))
            fine = int(quantised.fine[index])
            self._bits(int(chosen[index]) & ((1 << fine) - 1), fine)

    def _escape(self, residual: int) -> None:
        excess = abs(residual) - MAX_RESIDUAL
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
    """The symbol decoder, which reads integers from a payload that may still be arriving."""

    def __init__(self, tables: FrequencyTables, payload: bytes, size: int | None = None) -> None:
        """``payload`` is the beginning of a payload of ``size`` bytes; None means all of it."""
        self._rows = tables.rows
        self._rans = RansDecoder(payload, size)
        self._start()

    def _start(self) -> None:
        self._symbols: list[int] = []  # of the prediction that is being read
        self._unmodelled: NDArray[np.int64] | None = (
            None  # positions with unmodelled bits, once they are known
        )
        self._offsets: list[tuple[int, int]] = []  # (residual of an escape or 0, low bits) of these

    def feed(self, data: bytes) -> None:
        """Appends the next bytes of the payload."""
        self._rans.feed(data)

    @property
    def complete(self) -> bool:
        """Returns whether all of the payload has arrived."""
        return self._rans.complete

    @property
    def consumed(self) -> int:
        """Returns the number of payload bytes that the symbols read so far take."""
        return self._rans.consumed

    def get(self, prediction: Prediction) -> NDArray[np.int64]:
        """Reads the integers of one prediction, int64[N]; raises :class:`ChecksumError` for invalid ones."""
        if not self.read(prediction):
            raise TruncatedError("the payload ends before the last latent")
        return self.take(prediction)

    def read(self, prediction: Prediction) -> bool:
        """Continues to read one prediction; returns whether all its integers have arrived.

        Call it with the same prediction again after :meth:`feed`, and :meth:`take` when it is True.
        """
        table = prediction.quantised.table_index
        while len(self._symbols) < len(table):
            begin = len(self._symbols)
            rows = [self._rows[row] for row in table[begin : begin + _ROWS_AT_ONCE].tolist()]
            self._symbols += self._rans.symbols(rows)
            if len(self._symbols) < begin + len(rows):
                return False
        if self._unmodelled is None:
            self._unmodelled = self._with_unmodelled_bits(prediction)
        for index in self._unmodelled[len(self._offsets) :].tolist():
            mark = self._rans.mark()
            try:
                residual = self._escape() if self._symbols[index] == ESCAPE else 0
                self._offsets.append((residual, self._rans.bits(int(prediction.quantised.fine[index]))))
            except NotArrivedError:
                self._rans.go_back(mark)
                return False
        return True

    def take(self, prediction: Prediction) -> NDArray[np.int64]:
        """Returns the integers int64[N] of a prediction that :meth:`read` has read; then the next one can
        be read.
        """
        chosen, _ = self.arrived(prediction)
        self._start()
        return chosen

    def arrived(self, prediction: Prediction) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Returns (integers int64[N], which of them have arrived bool[N]) of the prediction that is being
        read.

        The others are 0. Raises :class:`ChecksumError` for impossible ones.
        """
        quantised, count = prediction.quantised, len(self._symbols)
        symbol = np.array(self._symbols, np.int64)
        known = np.arange(len(quantised.table_index)) < count
        chosen = np.zeros(len(quantised.table_index), np.int64)
        chosen[:count] = (symbol - MAX_RESIDUAL + quantised.centre[:count]) << quantised.fine[:count]
        unmodelled = self._unmodelled
        if unmodelled is None:
            unmodelled = self._with_unmodelled_bits(prediction)
        done = len(self._offsets)
        for index, (residual, low) in zip(unmodelled[:done].tolist(), self._offsets, strict=True):
            if self._symbols[index] == ESCAPE:
                chosen[index] = (residual + int(quantised.centre[index])) << int(quantised.fine[index])
            chosen[index] += low
        waiting = unmodelled[done:]
        known[waiting], chosen[waiting] = False, 0
        if np.abs(chosen).max() > LARGEST:
            raise ChecksumError("the payload decodes to a latent out of range")
        return chosen, known

    def _with_unmodelled_bits(self, prediction: Prediction) -> NDArray[np.int64]:
        """Returns which of the positions with a symbol have unmodelled bits."""
        symbol = np.array(self._symbols, np.int64)
        positions: NDArray[np.int64] = np.flatnonzero(
            (symbol == ESCAPE) | (prediction.quantised.fine[: len(symbol)] > 0)
        )
        return positions

    def _escape(self) -> int:
        negative = self._rans.bits(1)
        length = self._rans.bits(_LENGTH_BITS)
        magnitude = MAX_RESIDUAL + (1 << length) + self._rans.bits(length)
        return -magnitude if negative else magnitude

    def finish(self) -> None:
        """Raises :class:`ChecksumError` unless the payload ends exactly here."""
        self._rans.finish()
