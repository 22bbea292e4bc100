"""The sender: a file to packets."""

from __future__ import annotations

import math
import zlib

from calotype.arguments import check_type
from calotype.errors import LimitError
from calotype.packets.blocks import MAX_BLOCK, Block, blocks_of, repair_payloads
from calotype.packets.header import (
    HEADER_SIZE,
    MAX_DATA,
    MAX_INDEX,
    MAX_MTU,
    MAX_STREAM,
    MIN_MTU,
    PacketHeader,
    write_packet,
)
from calotype.packets.message import message_of

__all__ = ["DEFAULT_MTU", "DEFAULT_REDUNDANCY", "split"]

DEFAULT_MTU = 200
"""The default size of a packet in bytes; the payload of a Meshtastic packet has at most 233."""

DEFAULT_REDUNDANCY = 0.3

HEAD_SIZE, HEAD_REPAIRS = 1 / 8, 1 / 3
"""The fractions of the data packets and of the repair packets that belong to the head.

They were measured (benchmarks/results/packets.md).
"""


def split(
    data: bytes,
    mtu: int = DEFAULT_MTU,
    redundancy: float = DEFAULT_REDUNDANCY,
    *,
    stream: int | None = None,
    head: bool = True,
) -> list[bytes]:
    """Cuts a file, of any kind, into packets, in the order in which they should be sent.

    No packet is longer than ``mtu`` bytes, 50 to 1,400; all have one length. First come the k data packets,
    which hold the file from its beginning to its end, then repair packets: ``redundancy`` times k, rounded
    up. Without ``head`` any k packets give the file (in streams of more than 128 data packets: enough of each
    block). With ``head`` a part of the repair packets protects only the beginning of the file. Some picture
    then arrives more often, and the whole file a little less often. ``stream``, 0 to 4,095, tells the file
    from others on the link; None derives it from the content.

    Raises ``ValueError`` and ``TypeError`` for arguments, :class:`LimitError` for a file too large for
    packets of this size, and :class:`ModelError` without zfec if there is any redundancy.
    """
    check_type("data", data, bytes | bytearray | memoryview)
    check_type("mtu", mtu, int)
    check_type("redundancy", redundancy, float)
    check_type("stream", stream, int | None)
    check_type("head", head, bool)
    data = bytes(data)
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise ValueError(f"mtu (={mtu}) must be between {MIN_MTU} and {MAX_MTU} bytes")
    if stream is not None and not 0 <= stream <= MAX_STREAM:
        raise ValueError(f"stream (={stream}) must be between 0 and {MAX_STREAM}")
    message = message_of(data)
    count = -(-len(message) // (mtu - HEADER_SIZE))
    if count > MAX_DATA:
        raise LimitError(
            f"the file of {len(data)} bytes needs {count} data packets: at most {MAX_DATA} are allowed"
            f" (raise mtu, which is {mtu})"
        )
    size = -(-len(message) // count)  # Packets of this number are made as small as possible.
    payloads = [message[begin : begin + size].ljust(size, b"\0") for begin in range(0, len(message), size)]
    count = len(payloads)
    head_size, head_repairs, repairs = _packet_counts(count, redundancy, head)
    if stream is None:
        stream = zlib.crc32(data) & MAX_STREAM

    def packet(index: int, payload: bytes, head_repair: bool = False) -> bytes:
        return write_packet(PacketHeader(stream, count, head_size, index, head_repair), payload)

    packets = [packet(index, payload) for index, payload in enumerate(payloads)]
    early = repair_payloads(payloads[:head_size], head_repairs)
    packets += [packet(index, payload, True) for index, payload in enumerate(early)]
    late = _repair_packet_payloads(payloads, repairs)
    packets += [packet(count + index, payload) for index, payload in enumerate(late)]
    return packets


def _packet_counts(data: int, redundancy: float, head: bool) -> tuple[int, int, int]:
    """Returns (data packets of the head, its repair packets, the other repair packets) of a stream."""
    if not 0 <= redundancy < math.inf:
        raise ValueError(f"redundancy (={redundancy}) must be 0 or more, and finite")
    blocks = blocks_of(data)
    repairs = math.ceil(redundancy * data - 1e-9)  # In floating point 0.3 * 10 is a little more than 3.
    max_repairs = min(min(block.max_repairs for block in blocks) * len(blocks), MAX_INDEX + 1 - data)
    if repairs > max_repairs:
        raise ValueError(
            f"redundancy (={redundancy}) must be at most {max_repairs / data:.2f} for {data} data packets"
        )
    head_size = min(math.ceil(HEAD_SIZE * data), MAX_BLOCK)
    head_repairs = min(round(HEAD_REPAIRS * repairs), Block(0, head_size, 1).max_repairs)
    if not head or not head_repairs or head_size == data:
        return 0, 0, repairs
    return head_size, head_repairs, repairs - head_repairs


def _repair_packet_payloads(payloads: list[bytes], count: int) -> list[bytes]:
    """Returns the payloads of ``count`` repair packets, which are dealt to the blocks in turn."""
    blocks = blocks_of(len(payloads))
    payloads_of_blocks = [
        iter(repair_payloads([payloads[n] for n in block.members], -(-(count - number) // len(blocks))))
        for number, block in enumerate(blocks)
    ]
    return [next(payloads_of_blocks[index % len(blocks)]) for index in range(count)]
