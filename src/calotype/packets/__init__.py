"""Packets: a file cut into small packets, of which any sufficiently large subset gives it back.

::

    file ─ message ─┬─ data packets ──────────────┬─ link ─ Receiver ─ blocks ─ message ─ file
                    └─ blocks ─ repair packets ───┘

Repairing lost packets needs ``pip install 'calotype[packets]'``. The format is specified in docs/packets.md.
"""

from __future__ import annotations

from calotype.packets.header import MAX_MTU, MIN_MTU, PacketHeader, read_packet, write_packet
from calotype.packets.receive import Receiver, join
from calotype.packets.recording import read_recording, write_recording
from calotype.packets.send import DEFAULT_MTU, DEFAULT_REDUNDANCY, split
from calotype.packets.stream import Stream

__all__ = [
    "DEFAULT_MTU",
    "DEFAULT_REDUNDANCY",
    "MAX_MTU",
    "MIN_MTU",
    "PacketHeader",
    "Receiver",
    "Stream",
    "join",
    "read_packet",
    "read_recording",
    "split",
    "write_packet",
    "write_recording",
]
