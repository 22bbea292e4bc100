"""A file that arrives in pieces: each byte is parsed and decoded once.

::

    feed ─┬─ bytes ─────────────── parse ─ chunks ──┐
          └─ payload ─ PayloadDecoder ─── latents ──┴─ OpenedFile
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from calotype.container import MAX_START, Coding, FileLayout, ParsedFile, parse_file, read_layout
from calotype.decoding.latents import PayloadDecoder
from calotype.decoding.pipeline import OpenedFile
from calotype.decoding.view import DecodedView
from calotype.errors import CalotypeError, TruncatedError
from calotype.options import DecodeOptions

__all__ = ["ArrivingFile"]


class ArrivingFile:
    """The bytes of a file so far, and the latents of its payload so far.

    If the bytes are invalid, a method raises :class:`FormatError` or :class:`LimitError`, and every later
    call of any method raises the same error: no later byte can make the file valid.
    """

    def __init__(self, options: DecodeOptions) -> None:
        self._options = options
        self._data = bytearray()
        self._layout: FileLayout | None = None
        self._payload_decoder: PayloadDecoder | None = None
        self._fed = 0  # The number of payload bytes that the payload decoder has been fed.
        self._last: ParsedFile | None = None
        self._error: CalotypeError | None = None

    def feed(self, data: bytes) -> None:
        """Appends the next bytes of the file, and decodes the latents that they determine."""
        with self._remembering():
            self._data += data
            self._advance()

    def _advance(self) -> None:
        if self._layout is None:
            with suppress(TruncatedError):
                self._layout = read_layout(bytes(self._data[:MAX_START]), self._options.limits)
        layout = self._layout
        if layout is None or len(self._data) < layout.start or layout.header.coding != Coding.HIERARCHICAL:
            return
        if layout.header.regions and not layout.header.regions_first:
            return  # The regions come after the payload, which cannot be decoded without them.
        if self._payload_decoder is None:
            view = DecodedView.of(layout.header, self._options)
            self._payload_decoder = PayloadDecoder(self._parsed(), view.spacing, verify=self._options.strict)
        new_bytes = bytes(self._data[layout.start + self._fed : layout.end])
        self._fed += len(new_bytes)
        self._payload_decoder.feed(new_bytes)

    @property
    def fraction(self) -> float:
        """The fraction of the file that has arrived: 0 before the end of the header, 1 at the end of the
        file.

        It falls when a chunk begins to arrive, because the length of the chunk was not known before.
        """
        with self._remembering(TruncatedError):
            size, last = len(self._data), self._last
            if self._layout is None:
                return 0.0
            if size < self._layout.end:
                return size / self._layout.end
            if last is None or size >= last.size + last.missing:  # Otherwise the last estimate still holds.
                last = self._parsed()
            return size / max(size, last.size + last.missing)

    def opened(self) -> OpenedFile:
        """Returns the file as far as it has arrived.

        Raises :class:`TruncatedError` if it is too short for any picture.
        """
        with self._remembering(TruncatedError):
            parsed = self._parsed()
            reconstruction = None if self._payload_decoder is None else self._payload_decoder.reconstruction()
            return OpenedFile.made_of(parsed, self._options, reconstruction)

    def _parsed(self) -> ParsedFile:
        """Parses the bytes that have arrived. Raises :class:`TruncatedError` before the end of the header."""
        if self._last is None or self._last.size != len(self._data):
            options = self._options
            data = bytes(self._data)
            self._last = parse_file(data, limits=options.limits, strict=options.strict, partial=True)
        return self._last

    @contextmanager
    def _remembering(self, not_final: type[CalotypeError] | None = None) -> Iterator[None]:
        """Raises the error of an earlier call again, and remembers errors other than ``not_final`` ones."""
        if self._error is not None:
            raise self._error
        try:
            yield
        except CalotypeError as error:
            if not_final is None or not isinstance(error, not_final):
                self._error = error
            raise
