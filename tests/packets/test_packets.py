"""Packets: any sufficiently large subset gives the file, and none gives another file."""

from __future__ import annotations

import io
import math
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import reference_code as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_samples import content, headers

import calotype
from calotype import errors
from calotype.packets import (
    MAX_MTU,
    MIN_MTU,
    Receiver,
    join,
    read_recording,
    split,
    write_recording,
)
from calotype.packets.blocks import MAX_BLOCK, blocks_of
from calotype.packets.header import HEADER_SIZE, MAX_DATA

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 3000),
    mtu=st.integers(MIN_MTU, MAX_MTU),
    redundancy=st.floats(0, 1),
    head=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_without_losses_any_order_gives_the_file(
    size: int, mtu: int, redundancy: float, head: bool, order: object
) -> None:
    data = content(size)
    packets = split(data, mtu, redundancy, head=head)
    assert len({len(packet) for packet in packets}) == 1 and len(packets[0]) <= mtu
    first = headers(packets)[0]
    assert first.data == math.ceil(len(packets[0]) and (size + 4 + 1 + (size > 127)) / (mtu - HEADER_SIZE))
    assert len(packets) - first.data == math.ceil(redundancy * first.data - 1e-9)
    order.shuffle(packets)  # type: ignore[attr-defined]
    assert join(packets) == data


def test_any_subset_of_as_many_packets_as_data_packets_gives_the_file() -> None:
    data, rng = content(1000), np.random.default_rng(2)
    packets = split(data, 100, 0.5, head=False)
    needed = headers(packets)[0].data
    for _ in range(200):
        received = [packets[number] for number in rng.permutation(len(packets))[:needed]]
        assert join(received) == data
        with pytest.raises(errors.TruncatedError, match=f"{needed - 1} packets.*at least {needed} are"):
            join(received[1:])


def recovery_rate(
    packets: list[bytes], loss: float, seed: int, trials: int, head: int = 1
) -> tuple[float, float]:
    """(share of losses after which the file is there, share after which ``head`` bytes of it are there)."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(2)
    for _ in range(trials):
        receiver = Receiver()
        for packet, lost in zip(packets, rng.random(len(packets)) < loss, strict=True):
            if not lost:
                receiver.feed(packet)
        if receiver.streams:
            stream = receiver.streams[0]
            known = len(stream.prefix) if stream.file_size is not None else 0
            counts += stream.complete, known >= head
    return tuple(counts / trials)


def binomial(packets: int, needed: int, loss: float) -> float:
    """The probability that at least ``needed`` of ``packets`` arrive."""
    return sum(
        math.comb(packets, lost) * loss**lost * (1 - loss) ** (packets - lost)
        for lost in range(packets - needed + 1)
    )


@pytest.mark.slow  # 6 s
@pytest.mark.parametrize("redundancy", [0.2, 0.5, 1.0])
def test_the_recovery_rate_is_the_binomial_one(redundancy: float) -> None:
    trials, data = 1000, content(240)
    packets = split(data, MIN_MTU, redundancy, head=False)
    needed = headers(packets)[0].data
    for loss in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        rate, _ = recovery_rate(packets, loss, seed=int(100 * loss), trials=trials)
        theory = binomial(len(packets), needed, loss)
        deviation = math.sqrt(theory * (1 - theory) / trials)
        assert abs(rate - theory) <= 4 * deviation + 1e-9, (loss, rate, theory)


def test_the_head_arrives_more_often_than_the_rest() -> None:
    data = content(1000)
    equal, unequal = (split(data, 100, 0.4, head=head) for head in (False, True))
    assert len(equal) == len(unequal)
    first = headers(unequal)[0]
    early = sum(header.head_repair for header in headers(unequal))
    assert (first.data, first.head, early) == (11, 2, 2)
    assert {header.head for header in headers(equal)} == {0}
    trials = 500
    size = first.head * (len(unequal[0]) - HEADER_SIZE) - 6
    _, of_equal = recovery_rate(equal, 0.5, 3, trials, size)
    whole, of_unequal = recovery_rate(unequal, 0.5, 3, trials, size)
    theory = binomial(first.head + early, first.head, 0.5)
    assert of_unequal >= theory - 4 * math.sqrt(theory * (1 - theory) / trials)
    assert of_unequal > of_equal + 0.1 and of_unequal > whole


def test_a_recovered_head_helps_to_recover_the_rest() -> None:
    data = content(1000)
    packets = split(data, 100, 0.4)
    late = [n for n, header in enumerate(headers(packets)) if header.index >= 11 and not header.head_repair]
    lost = {0, 1, *(5, 6, 7)[: len(late)]}  # the head by its own repair packets, then as many as there are
    assert join([packet for n, packet in enumerate(packets) if n not in lost]) == data


@pytest.mark.parametrize(("size", "mtu"), [(40_000, 200), (86_007, 50), (2_000_000, 1400)])
def test_large_files_have_several_blocks(size: int, mtu: int) -> None:
    data = content(size)
    packets = split(data, mtu, 0.5)
    first = headers(packets)[0]
    blocks = blocks_of(first.data)
    assert len(blocks) > 1 and max(len(block.members) for block in blocks) <= MAX_BLOCK
    assert sorted(n for block in blocks for n in block.members) == list(range(first.data))
    burst = len(packets) // 5  # a fifth of all packets, one after the other
    assert join(packets[:burst] + packets[2 * burst :]) == data


def test_the_largest_file_and_one_that_is_larger() -> None:
    largest = MAX_DATA * (MIN_MTU - HEADER_SIZE) - 4 - 3
    packets = split(bytes(largest), MIN_MTU, 0)
    assert len(packets) == MAX_DATA and join(packets) == bytes(largest)
    with pytest.raises(errors.LimitError, match=r"needs 2049 data packets: at most 2048 .*raise mtu"):
        split(bytes(largest + 1), MIN_MTU, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mtu": 49}, r"mtu \(=49\)"),
        ({"mtu": 1401}, r"mtu \(=1401\)"),
        ({"redundancy": -0.1}, r"redundancy \(=-0.1\)"),
        ({"redundancy": math.nan}, r"redundancy \(=nan\)"),
        ({"redundancy": 1e9}, r"at most \d+\.\d+ for \d+ data packets"),
        ({"stream": 4096}, r"stream \(=4096\)"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(b"data", **arguments)  # type: ignore[arg-type]


def test_arguments_of_a_wrong_type() -> None:
    for arguments in ({"data": "text"}, {"data": b"", "mtu": 1.5}, {"data": b"", "head": 1}):
        with pytest.raises(TypeError):
            split(**arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Receiver().feed("text")  # type: ignore[arg-type]


def test_leading_packets_give_the_beginning_of_the_file() -> None:
    data = (GOLDEN / "context-242" / "fine-64x64" / "picture.calo").read_bytes()
    packets = split(data, MIN_MTU, 0.3)
    needed = headers(packets)[0].data
    for count in range(1, needed + 1):
        begun = join(packets[:count], partial=True)
        assert data.startswith(begun)
        assert len(begun) / len(data) == pytest.approx(count / needed, abs=0.02)
    with pytest.raises(errors.TruncatedError, match="no beginning"):
        join(packets[1:3], partial=True)
    with pytest.warns(calotype.PartialPictureWarning):
        begun = join(packets[: needed * 6 // 10], partial=True)
        image = calotype.decode(begun, partial=True, model="tiny")
    assert image.info["partial"] == pytest.approx(len(begun) / len(data), abs=0.1)


def test_without_zfec_only_recovery_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    data = content(600)
    packets = split(data, 100, 0.5, head=False)
    monkeypatch.setitem(sys.modules, "zfec", None)
    assert split(data, 100, 0) != packets
    assert join(packets) == data
    for action in (lambda: split(data, 100, 0.5), lambda: join(packets[1:])):
        with pytest.raises(errors.ModelError, match=r"pip install 'calotype\[packets\]'"):
            action()


def test_a_recording_is_read_back() -> None:
    packets = split(content(600), 100, 0.5)
    recording = write_recording(packets)
    assert list(read_recording(io.BytesIO(recording))) == packets

    def until_error(damaged: bytes, error: type[Exception]) -> list[bytes]:
        names = []
        with pytest.raises(error):
            for packet in read_recording(io.BytesIO(damaged)):
                names.append(packet)
        return names

    assert until_error(recording[:-1], errors.TruncatedError) == packets[:-1]
    assert until_error(recording + b"\x01", errors.FormatError) == packets
    assert until_error(recording + b"\xff\xff...", errors.FormatError) == packets
    assert until_error(recording + bytes(2), errors.FormatError) == packets


def test_another_implementation_gives_the_same_repair_packets() -> None:
    for size, count in ((1, 3), (3, 4), (9, 9), (40, 3)):
        payloads = [content(17, seed) for seed in range(size)]
        data = dict(enumerate(payloads))
        repaired = [reference.interpolated(data, size + number) for number in range(count)]
        from calotype.packets.blocks import recover, repair_payloads

        assert repair_payloads(payloads, count) == repaired
        rows = dict(enumerate([*payloads, *repaired]))
        rows_kept = {row: rows[row] for row in list(rows)[-size:]}
        assert recover(size, rows_kept) == payloads
        assert [reference.interpolated(rows_kept, row) for row in range(size)] == payloads


def test_the_vector_of_the_specification() -> None:
    page = (ROOT / "docs" / "packets.md").read_text("utf-8")
    block = re.search(r"^```text\n(packet 0:.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert block
    given = [bytes.fromhex(line.partition(":")[2]) for line in block[1].splitlines()]
    data = b"The invisible image appears only when it is developed."
    payloads = reference.message(data, 15)
    head = {0: payloads[0]}
    rows = dict(enumerate(payloads))
    stream = zlib.crc32(data) & 0xFFF
    expected = [reference.packet(stream, 4, 1, index, 0, payload) for index, payload in rows.items()]
    expected.append(reference.packet(stream, 4, 1, 0, 1, reference.interpolated(head, 1)))
    expected += [
        reference.packet(stream, 4, 1, index, 0, reference.interpolated(rows, index)) for index in (4, 5)
    ]
    assert given == expected
    assert join(given) == join(given[3:]) == data
    assert reference.crc_16(b"123456789") == 0x29B1
