"""The benchmark's count of leading packets is that of the real receiver."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.packets import known_packets, tables
from benchmarks.pictures import RESULTS
from calotype.packets import Receiver, read_packet, split


def test_known_packets_are_those_of_the_receiver() -> None:
    loss, trials = 0.4, 50
    packets = split(bytes(range(250)) * 4, 100, 0.8)
    headers = [read_packet(packet)[0] for packet in packets]
    data, head = headers[0].data, headers[0].head
    early = sum(header.head_repair for header in headers)
    counted = known_packets(data, head, early, len(packets) - data - early, loss, seed=3, trials=trials)
    lost = np.random.default_rng(3).random((trials, len(packets))) < loss
    size = len(packets[0]) - 8
    for trial in range(trials):
        receiver = Receiver()
        for packet, missing in zip(packets, lost[trial], strict=True):
            if not missing:
                receiver.feed(packet)
        (stream,) = receiver.streams
        known = data if stream.complete else 0
        if not stream.complete and stream.file_size:
            known = (len(stream.prefix) + 6) // size
        assert counted[trial] == known


def test_the_page_is_that_of_the_records(tmp_path: Path) -> None:
    lines = (RESULTS / "packets.jsonl").read_text("utf-8").splitlines()
    page = tables([json.loads(line) for line in lines])
    assert page == (RESULTS / "packets.md").read_text("utf-8")
