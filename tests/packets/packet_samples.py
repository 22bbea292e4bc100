"""Files and packets that tests share."""

from __future__ import annotations

import numpy as np

from calotype.packets import (
    PacketHeader,
    read_packet,
)


def content(size: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def headers(packets: list[bytes]) -> list[PacketHeader]:
    return [read_packet(packet)[0] for packet in packets]
