"""From a payload to integers, while it arrives: the coding pass, driven by the symbol decoder.

::

    feed(bytes) ─ rANS ─ symbols ─ integers of one coding step ─┐
                            ▲                                   ▼
                            └──────────── prediction ◄── coding pass ── result(): a copy of it goes on to
                                                                        the end with predicted means
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.entropy.coding_pass import CHANNELS, CodingPass, PassResult
from calotype.entropy.model import ContextModel
from calotype.entropy.rans import most_symbols
from calotype.entropy.symbols import SymbolDecoder
from calotype.errors import TruncatedError

__all__ = ["IntegerDecoder", "base_size", "decode_integers"]


class IntegerDecoder:
    """Decodes integers as soon as their code has arrived, each coding step once."""

    def __init__(
        self,
        model: ContextModel,
        size: int,
        levels: NDArray[np.int64],
        steps: NDArray[np.int64],
        offsets: tuple[int, ...],
        *,
        dtype: type[np.float32] | type[np.int64] | None = None,
    ) -> None:
        """``size`` is that of the whole payload, in bytes; the other arguments are those of ``coding_pass``.

        Raises :class:`TruncatedError` at once, whatever is claimed, if ``size`` is too little for so many
        integers, and :class:`ChecksumError` if no payload has it.
        """
        count = CHANNELS * levels.size
        if count > most_symbols(size):
            raise TruncatedError(f"the payload has {size} bytes, too few for any {count} integers")
        self._symbols = SymbolDecoder(model.tables, b"", size)
        self._pass = CodingPass(model, levels, steps, offsets, dtype=dtype)
        self._finished = False

    @property
    def finished(self) -> bool:
        """Whether the payload has arrived and was consumed exactly, so that the integers are all there."""
        return self._finished

    @property
    def base_done(self) -> bool:
        """Whether the base lattice, one position in 8x8, is complete."""
        prediction = self._pass.prediction
        return prediction is None or (prediction.rows.start, prediction.columns.start) != (0, 0)

    @property
    def consumed(self) -> int:
        """How many bytes of the payload the integers that were decoded take."""
        return self._symbols.consumed

    def feed(self, data: bytes) -> None:
        """The next bytes of the payload, of which as many integers are decoded as they determine.

        Raises :class:`TruncatedError` or :class:`ChecksumError` if the payload cannot be right.
        """
        self.put(data)
        while self.step():
            pass
        if self._pass.prediction is None and self._symbols.complete and not self._finished:
            self._symbols.finish()
            self._finished = True

    def put(self, data: bytes) -> None:
        """The next bytes of the payload, for :meth:`step`."""
        self._symbols.feed(data)

    def step(self) -> bool:
        """Takes one coding step if all of its integers have arrived; returns whether it did."""
        prediction = self._pass.prediction
        if prediction is None or not self._symbols.read(prediction):
            return False
        self._pass.advance(self._symbols.take(prediction))
        return True

    def result(self) -> PassResult:
        """What the integers are so far; predicted means stand in for those that are still to come."""
        coded, prediction = self._pass, self._pass.prediction
        if prediction is not None:
            coded = coded.copy()
            coded.advance(*self._symbols.arrived(prediction))
        while coded.prediction is not None:
            count = len(coded.prediction.step)
            coded.advance(np.zeros(count, np.int64), np.zeros(count, bool))
        return coded.result


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
    decoder = IntegerDecoder(model, len(payload), levels, steps, offsets, dtype=dtype)
    decoder.feed(payload)
    return decoder.result()


def base_size(
    model: ContextModel,
    payload: bytes,
    levels: NDArray[np.int64],
    steps: NDArray[np.int64],
    offsets: tuple[int, ...],
) -> int:
    """How many bytes of a payload hold the base lattice, one position in 8x8, which alone is decoded.

    The arguments and errors are those of :func:`decode_integers`.
    """
    decoder = IntegerDecoder(model, len(payload), levels, steps, offsets)
    decoder.put(payload)
    while not decoder.base_done and decoder.step():
        pass
    return decoder.consumed
