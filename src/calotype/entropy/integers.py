"""Decodes a payload, which may still be arriving, to integers: a coding pass with the symbol decoder.

::

    feed(bytes) ─ rANS ─ symbols ─ integers of one prediction ─┐
                            ▲                                  ▼
                            └──── next prediction ◄── coding pass ── result(): a copy of it goes on to
                                                                     the end with predicted means

For the integers that have not arrived, :meth:`IntegerDecoder.result` gives predicted means. Positions are
coded from coarse to fine: the grid of rows and columns that are multiples of 8, 4 or 2, its *spacing*, comes
before all other positions. A decoder may therefore stop at the end of any of these grids.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.coding_pass import CHANNELS, CodingPass, PassResult
from calotype.entropy.model import ContextModel
from calotype.entropy.rans import max_symbol_count
from calotype.entropy.symbols import SymbolDecoder
from calotype.errors import TruncatedError

__all__ = ["IntegerDecoder", "decode_integers"]


class IntegerDecoder:
    """Decodes integers as soon as their code has arrived, each of them once."""

    def __init__(
        self,
        model: ContextModel,
        size: int,
        levels: NDArray[np.int64],
        steps: NDArray[np.int64],
        channel_offsets: tuple[int, ...],
        *,
        spacing: int = 1,
    ) -> None:
        """``size`` is that of the whole payload, in bytes; other arguments are those of :class:`CodingPass`.

        ``spacing`` (1, 2, 4 or 8) is that of the grid after which decoding ends.

        Raises :class:`TruncatedError` if no payload of ``size`` bytes can hold so many integers, before it
        allocates memory for them, and :class:`ChecksumError` if no payload has this size.
        """
        count = CHANNELS * levels.size
        if count > max_symbol_count(size):
            raise TruncatedError(f"the payload has {size} bytes, too few for any {count} integers")
        self._symbol_decoder = SymbolDecoder(model.tables, b"", size)
        self._pass = CodingPass(model, levels, steps, channel_offsets, spacing=spacing)
        self._spacing = spacing
        self._finished = False

    @property
    def finished(self) -> bool:
        """Returns whether the payload has arrived and was consumed exactly, so that no integer is missing.

        It is always False for a ``spacing`` above 1.
        """
        return self._finished

    @property
    def done(self) -> bool:
        """Returns whether all integers of the grid of ``spacing`` have arrived."""
        return self._pass.prediction is None

    @property
    def consumed(self) -> int:
        """Returns the number of payload bytes that the decoded integers take."""
        return self._symbol_decoder.consumed

    def feed(self, data: bytes) -> None:
        """Appends the next bytes of the payload and decodes all integers that the bytes so far determine.

        Raises :class:`TruncatedError` or :class:`ChecksumError` if the payload is invalid.
        """
        self._symbol_decoder.feed(data)
        while self._decode_prediction():
            pass
        if self._spacing == 1 and self.done and self._symbol_decoder.complete and not self._finished:
            self._symbol_decoder.finish()
            self._finished = True

    def _decode_prediction(self) -> bool:
        """Decodes one prediction if all of its integers have arrived; returns whether it did."""
        prediction = self._pass.prediction
        if prediction is None or not self._symbol_decoder.decode_arrived(prediction):
            return False
        self._pass.advance(self._symbol_decoder.take(prediction))
        return True

    def result(self) -> PassResult:
        """Returns the integers of the grid, with predicted means for those that have not arrived."""
        coding_pass, prediction = self._pass, self._pass.prediction
        if prediction is not None:
            coding_pass = coding_pass.copy()
            coding_pass.advance(*self._symbol_decoder.peek(prediction))
        while coding_pass.prediction is not None:
            count = len(coding_pass.prediction.step)
            coding_pass.advance(np.zeros(count, np.int64), np.zeros(count, bool))
        return coding_pass.result.subsampled(self._spacing)


def decode_integers(
    model: ContextModel,
    payload: bytes,
    levels: NDArray[np.int64],
    steps: NDArray[np.int64],
    channel_offsets: tuple[int, ...],
) -> PassResult:
    """Decodes a whole payload; the other arguments are those of :class:`CodingPass`.

    Raises :class:`TruncatedError` or :class:`ChecksumError` unless the payload is consumed exactly. A payload
    that is too short for so many integers is refused before memory for them is allocated.
    """
    decoder = IntegerDecoder(model, len(payload), levels, steps, channel_offsets)
    decoder.feed(payload)
    return decoder.result()
