"""The symbol coders: residuals to rANS symbols and back, at each prediction of a coding pass.

A residual r is one symbol of its table when |r| <= 20, otherwise the escape. After the symbols of one
prediction come, position by position, the bypass bits, which are coded without a model. An escape codes
e = |r| - 20 as in Exp-Golomb codes: the sign of r, floor(log2 e) in 4 bits, then the bits of e below its
leading one. Then come the low bits of the integer, as many as ``low_bits`` of the quantised prediction says.

The decoder works on one prediction at a time. :meth:`SymbolDecoder.decode_arrived` goes as far in it as the
bytes reach that have arrived. :meth:`SymbolDecoder.peek` returns the integers up to there, and
:meth:`SymbolDecoder.take`, after the last one, returns them all and makes way for the next prediction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.coding_pass import Prediction
from calotype.entropy.rans import PRECISION, NotArrivedError, RansDecoder, encode_symbols
from calotype.entropy.tables import ESCAPE, MAX_RESIDUAL, FrequencyTables
from calotype.errors import ChecksumError, TruncatedError

__all__ = ["MAX_MAGNITUDE", "SymbolDecoder", "SymbolEncoder"]

MAX_MAGNITUDE = (1 << 15) - 1
"""The largest magnitude of an integer."""

_LENGTH_BITS = 4
"""The number of bits that code floor(log2 e) of an escaped residual."""

_SYMBOLS_AT_ONCE = 4096
"""The number of symbols whose tables are looked up together; a short piece of payload fills few of them."""


class SymbolEncoder:
    """The symbol encoder, which collects the symbols of a coding pass; :meth:`finish` returns the payload."""

    def __init__(self, tables: FrequencyTables) -> None:
        self._tables = tables
        self._starts: list[int] = []
        self._freqs: list[int] = []

    def encode(self, integers: NDArray[np.int64], prediction: Prediction) -> None:
        """Codes the integers int64[N] of one prediction, at most 32767 in magnitude."""
        quantised = prediction.quantised
        residuals, symbols = quantised.residuals(integers), quantised.symbols(integers)
        self._starts += self._tables.starts[quantised.table_index, symbols].tolist()
        self._freqs += self._tables.frequencies[quantised.table_index, symbols].tolist()
        for index in np.flatnonzero((symbols == ESCAPE) | (quantised.low_bits > 0)).tolist():
            if symbols[index] == ESCAPE:
                self._encode_escaped(int(residuals[index]))
            low_bits = int(quantised.low_bits[index])
            self._encode_bits(int(integers[index]) & ((1 << low_bits) - 1), low_bits)

    def _encode_escaped(self, residual: int) -> None:
        excess = abs(residual) - MAX_RESIDUAL
        length = excess.bit_length() - 1
        self._encode_bits(int(residual < 0), 1)
        self._encode_bits(length, _LENGTH_BITS)
        self._encode_bits(excess - (1 << length), length)

    def _encode_bits(self, value: int, count: int) -> None:
        self._starts.append(value << (PRECISION - count))
        self._freqs.append(1 << (PRECISION - count))

    def finish(self) -> bytes:
        """Returns the payload."""
        return encode_symbols(self._starts, self._freqs)


class SymbolDecoder:
    """The symbol decoder, which decodes the integers of a payload that may still be arriving."""

    def __init__(self, tables: FrequencyTables, payload: bytes, size: int | None = None) -> None:
        """``payload`` is the beginning of a payload of ``size`` bytes; None means all of it."""
        self._cumulative = tables.cumulative
        self._rans = RansDecoder(payload, size)
        self._begin_prediction()

    def _begin_prediction(self) -> None:
        self._symbols: list[int] = []
        # The indices of the integers with bypass bits. They are known when all symbols have arrived.
        self._bypass_indices: NDArray[np.int64] | None = None
        # (residual of an escape or 0, value of the low bits) of those whose bypass bits have arrived.
        self._bypass_values: list[tuple[int, int]] = []

    def feed(self, data: bytes) -> None:
        """Appends the next bytes of the payload."""
        self._rans.feed(data)

    @property
    def complete(self) -> bool:
        """Returns whether all of the payload has arrived."""
        return self._rans.complete

    @property
    def consumed(self) -> int:
        """Returns the number of payload bytes that the symbols decoded so far take."""
        return self._rans.consumed

    def decode(self, prediction: Prediction) -> NDArray[np.int64]:
        """Decodes all integers int64[N] of one prediction.

        Raises :class:`TruncatedError` if not all of them have arrived, and :class:`ChecksumError` for
        invalid ones.
        """
        if not self.decode_arrived(prediction):
            raise TruncatedError("the payload ends before the last latent")
        return self.take(prediction)

    def decode_arrived(self, prediction: Prediction) -> bool:
        """Decodes as many integers of one prediction as have arrived; returns whether these are all.

        After False, call it again with the same prediction when :meth:`feed` has appended more bytes. After
        True, call :meth:`take`.
        """
        table_index = prediction.quantised.table_index
        while len(self._symbols) < len(table_index):
            begin = len(self._symbols)
            tables = [self._cumulative[i] for i in table_index[begin : begin + _SYMBOLS_AT_ONCE].tolist()]
            self._symbols += self._rans.decode_symbols(tables)
            if len(self._symbols) < begin + len(tables):
                return False
        if self._bypass_indices is None:
            self._bypass_indices = self._indices_with_bypass_bits(prediction)
        for index in self._bypass_indices[len(self._bypass_values) :].tolist():
            mark = self._rans.mark()
            try:
                residual = self._decode_escaped() if self._symbols[index] == ESCAPE else 0
                low = self._rans.decode_bits(int(prediction.quantised.low_bits[index]))
            except NotArrivedError:
                self._rans.go_back(mark)
                return False
            self._bypass_values.append((residual, low))
        return True

    def take(self, prediction: Prediction) -> NDArray[np.int64]:
        """Returns all integers int64[N] of a prediction that has arrived, and begins the next one."""
        integers, _ = self.peek(prediction)
        self._begin_prediction()
        return integers

    def peek(self, prediction: Prediction) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Returns the integers int64[N] of the prediction so far, and which of them have arrived, bool[N].

        The others are 0. Raises :class:`ChecksumError` for integers out of range.
        """
        quantised, count = prediction.quantised, len(self._symbols)
        symbols = np.array(self._symbols, np.int64)
        arrived = np.arange(len(quantised.table_index)) < count
        integers = np.zeros(len(quantised.table_index), np.int64)
        modelled = symbols - MAX_RESIDUAL + quantised.centre[:count]
        integers[:count] = modelled << quantised.low_bits[:count]
        bypass_indices = self._bypass_indices
        if bypass_indices is None:
            bypass_indices = self._indices_with_bypass_bits(prediction)
        done = len(self._bypass_values)
        for index, (residual, low) in zip(bypass_indices[:done].tolist(), self._bypass_values, strict=True):
            if self._symbols[index] == ESCAPE:
                integers[index] = (residual + int(quantised.centre[index])) << int(quantised.low_bits[index])
            integers[index] += low
        waiting = bypass_indices[done:]
        arrived[waiting], integers[waiting] = False, 0
        if np.abs(integers).max() > MAX_MAGNITUDE:
            raise ChecksumError("the payload decodes to a latent out of range")
        return integers, arrived

    def _indices_with_bypass_bits(self, prediction: Prediction) -> NDArray[np.int64]:
        """Returns the indices of those integers with bypass bits whose symbol has arrived."""
        symbols = np.array(self._symbols, np.int64)
        indices: NDArray[np.int64] = np.flatnonzero(
            (symbols == ESCAPE) | (prediction.quantised.low_bits[: len(symbols)] > 0)
        )
        return indices

    def _decode_escaped(self) -> int:
        """Decodes the residual of an escape."""
        negative = self._rans.decode_bits(1)
        length = self._rans.decode_bits(_LENGTH_BITS)
        magnitude = MAX_RESIDUAL + (1 << length) + self._rans.decode_bits(length)
        return -magnitude if negative else magnitude

    def finish(self) -> None:
        """Raises :class:`ChecksumError` unless the payload ends exactly here."""
        self._rans.finish()
