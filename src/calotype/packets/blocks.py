"""Blocks: sets of data packets that share repair packets.

The erasure code is the systematic Reed-Solomon code over GF(256) of Rizzo ("Effective erasure codes for
reliable computer communication protocols", 1997) as zfec computes it. Any k of a block's packets give all of
its k data packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calotype.errors import FormatError, ModelError
from calotype.packets.header import PacketHeader

__all__ = ["CODE_LENGTH", "MAX_BLOCK", "Block", "blocks_of", "place_of", "recover", "repair_payloads"]

CODE_LENGTH = 256
"""The largest number of packets, of data and of repair, in a block."""

MAX_BLOCK = 128
"""The largest number of data packets in a block: half of ``CODE_LENGTH``, so that a redundancy of 1 is
possible."""


@dataclass(frozen=True)
class Block:
    """The numbers of the data packets of a block: ``start``, ``start + stride`` ... below ``stop``."""

    start: int
    stop: int
    stride: int

    @property
    def members(self) -> range:
        """Returns the numbers of the block's data packets, in order."""
        return range(self.start, self.stop, self.stride)

    @property
    def max_repairs(self) -> int:
        """Returns the largest number of repair packets of the block."""
        return CODE_LENGTH - len(self.members)


def blocks_of(data: int) -> list[Block]:
    """Returns the blocks of a stream with ``data`` data packets, which are dealt to them in turn."""
    count = -(-data // MAX_BLOCK)
    return [Block(number, data, count) for number in range(count)]


def place_of(header: PacketHeader) -> tuple[Block, int]:
    """Returns the block of a packet, and its row within the code of that block.

    Raises :class:`FormatError` for a repair packet that the code does not have.
    """
    if header.head_repair:
        if not 0 < header.head <= MAX_BLOCK:
            raise FormatError(f"the packet repairs a head (={header.head}) that is not of 1 to {MAX_BLOCK}")
        block, repair = Block(0, header.head, 1), header.index
    else:
        count = -(-header.data // MAX_BLOCK)
        repair, number = divmod(header.index - header.data, count)
        if repair < 0:
            row, number = divmod(header.index, count)
            return Block(number, header.data, count), row
        block = Block(number, header.data, count)
    if repair >= block.max_repairs:
        raise FormatError(f"the packet (index {header.index}) is beyond the last that its block can have")
    return block, len(block.members) + repair


def repair_payloads(data: Sequence[bytes], count: int) -> list[bytes]:
    """Returns the payloads of the first ``count`` repair packets of a block with the payloads ``data``.

    Raises :class:`ModelError` without zfec.
    """
    if count <= 0:
        return []
    encoder = _zfec().Encoder(len(data), CODE_LENGTH)
    repaired: list[bytes] = encoder.encode(list(data), list(range(len(data), len(data) + count)))
    return repaired


def recover(size: int, known: dict[int, bytes]) -> list[bytes]:
    """Returns the ``size`` data payloads of a block from ``size`` or more of its payloads.

    ``known`` has them by their rows in the code.

    Data packets are preferred to repair packets. Raises :class:`ModelError` without zfec.
    """
    rows = sorted(known)[:size]
    if rows[-1] < size:
        return [known[row] for row in rows]
    decoder = _zfec().Decoder(size, CODE_LENGTH)
    payloads: list[bytes] = decoder.decode([known[row] for row in rows], rows)
    return payloads


def _zfec() -> Any:
    try:
        import zfec
    except ImportError as error:
        raise ModelError("repair packets need a package: pip install 'calotype[packets]'") from error
    return zfec
