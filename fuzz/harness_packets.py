"""Packets from a link: the first byte tells whether the checksums are made right, the rest is a recording.

With checksums made right, headers lie about counts, blocks and lengths. Time and memory are bounded by
``LIMITS``: a receiver keeps no more packets than that, whatever they say.
"""

from __future__ import annotations

import io
from contextlib import suppress

from common import main, refusals_are_fine, watched

with watched():
    from calotype.errors import CalotypeError, FormatError
    from calotype.limits import Limits
    from calotype.packets import Receiver, read_packet, read_recording, write_packet
    from calotype.packets.header import HEADER_SIZE, PacketHeader

__all__ = ["one_input", "with_right_checksum"]

LIMITS = Limits(max_packets=32)
MAX_BYTES = 1 << 14


def with_right_checksum(packet: bytes) -> bytes:
    """Returns the packet with its version and its checksum made right, if it is long enough to have any."""
    if len(packet) <= HEADER_SIZE:
        return packet
    fields = int.from_bytes(packet[:6], "little")
    header = PacketHeader(
        stream=fields >> 4 & 0xFFF,
        data=(fields >> 16 & 0x7FF) + 1,
        head=fields >> 40,
        index=fields >> 28 & 0xFFF,
        head_repair=bool(fields >> 27 & 1),
    )
    return write_packet(header, packet[HEADER_SIZE:])


@refusals_are_fine
def one_input(data: bytes) -> None:
    repair = bool(data[:1] and data[0] & 1)
    receiver = Receiver(LIMITS)
    try:
        for packet in read_recording(io.BytesIO(data[1 : 1 + MAX_BYTES])):
            receiver.feed(with_right_checksum(packet) if repair else packet)
    finally:
        assert len(receiver.streams) <= LIMITS.max_packets
        assert sum(stream.received for stream in receiver.streams) <= LIMITS.max_packets
        for stream in receiver.streams:
            assert stream.file_size is None or stream.file_size >= 0
            with suppress(FormatError):
                prefix = stream.prefix
                assert len(prefix) <= LIMITS.max_packets * 256 * 1400
                assert not stream.complete or prefix == stream.data
    if repair:
        with suppress(CalotypeError):
            read_packet(data[1:])
    assert receiver.best().data is not None


if __name__ == "__main__":
    main(one_input)
