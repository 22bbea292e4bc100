"""One stream: the packets of one file, as far as they have arrived."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from calotype.errors import ChecksumError, FormatError, TruncatedError
from calotype.packets.blocks import Block, blocks_of, place_of, recover
from calotype.packets.header import PacketHeader
from calotype.packets.message import Preamble, file_of

__all__ = ["Stream", "StreamKey"]


class StreamKey(NamedTuple):
    """The values that all packets of a stream share: header fields, and the payload's ``size`` in bytes."""

    stream: int
    data: int
    head: int
    size: int


class Stream:
    """The packets of one file, as far as they have arrived.

    ``id`` is the number of the stream, ``needed`` that of its data packets and ``received`` that of the
    different packets that have arrived, up to the one that completed the file.
    """

    def __init__(self, key: StreamKey) -> None:
        self.id, self.needed = key.stream, key.data
        self.received = 0
        self._whole: bytes | None = None
        self._failed = False
        self._head = Block(0, key.head, 1)
        self._blocks = blocks_of(key.data)
        self._payloads: dict[int, bytes] = {}  # of data packets, by their numbers
        self._repairs: dict[Block, dict[int, bytes]] = {}  # by their rows

    @property
    def complete(self) -> bool:
        """Returns whether the whole file is there."""
        return self._whole is not None

    @property
    def data(self) -> bytes:
        """Returns the whole file.

        Raises :class:`TruncatedError` before enough has arrived, and :class:`ChecksumError` if enough has
        arrived but is not the file that was sent.
        """
        if self._whole is not None:
            return self._whole
        if self._failed:
            raise ChecksumError(f"the packets of stream {self.id} do not give the file that was sent")
        raise TruncatedError(
            f"stream {self.id} is incomplete: {self.received} packets have arrived, "
            f"at least {self.needed} are needed"
        )

    @property
    def prefix(self) -> bytes:
        """Returns the beginning of the file up to the first gap. It has not been verified.

        Raises :class:`TruncatedError` if the first packet is missing, and :class:`FormatError` if its
        content is invalid.
        """
        if self._whole is not None:
            return self._whole
        message = self._message()
        if not message:
            raise TruncatedError(f"stream {self.id} has no beginning: its first packet is missing")
        preamble = Preamble(message)
        return message[preamble.start : preamble.start + preamble.size]

    @property
    def file_size(self) -> int | None:
        """Returns the length of the file in bytes; None before it is known."""
        if self._whole is not None:
            return len(self._whole)
        with suppress(FormatError):
            return Preamble(self._message()).size
        return None

    def has(self, header: PacketHeader) -> bool:
        """Returns whether the packet is a duplicate. Raises :class:`FormatError` as :meth:`add`."""
        block, row = place_of(header)
        if row < len(block.members):
            return block.members[row] in self._payloads
        return row in self._repairs.get(block, {})

    def add(self, header: PacketHeader, payload: bytes) -> None:
        """Takes a new packet, before the file is complete.

        Raises :class:`FormatError` for a packet that no stream can have, and :class:`ModelError` if lost
        packets cannot be recovered without zfec.
        """
        block, row = place_of(header)
        self.received += 1
        if row < len(block.members):
            number = block.members[row]
            self._payloads[number] = payload
            self._recover([*self._blocks_with(number)])
        else:
            self._repairs.setdefault(block, {})[row] = payload
            self._recover([block])
        if len(self._payloads) == self.needed:
            self._finish()

    def _blocks_with(self, number: int) -> tuple[Block, ...]:
        """Returns the blocks that a data packet belongs to."""
        block = self._blocks[number % len(self._blocks)]
        return (self._head, block) if number < self._head.stop else (block,)

    def _recover(self, changed: list[Block]) -> None:
        """Recovers the data packets of the ``changed`` blocks, and of those that this completes."""
        while changed:
            block = changed.pop()
            repairs = self._repairs.get(block, {})
            missing = [number for number in block.members if number not in self._payloads]
            if not missing or len(missing) > len(repairs):
                continue
            known = {
                row: self._payloads[number]
                for row, number in enumerate(block.members)
                if number in self._payloads
            }
            payloads = recover(len(block.members), known | repairs)
            self._payloads |= zip(block.members, payloads, strict=True)
            changed += {other for number in missing for other in self._blocks_with(number)} - {block}

    def _finish(self) -> None:
        """Verifies the file; if its checksum does not match, the stream drops all packets and begins anew."""
        message = self._message()
        try:
            self._whole = file_of(message)
        except FormatError:
            self._failed = True
            self.received = 0
        self._payloads, self._repairs = {}, {}

    def _message(self) -> bytes:
        """Returns the beginning of the message, up to the first data packet that is missing."""
        payloads: list[bytes] = []
        while (payload := self._payloads.get(len(payloads))) is not None:
            payloads.append(payload)
        return b"".join(payloads)
