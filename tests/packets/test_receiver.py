"""What a receiver does with damaged, foreign and hostile packets."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from packet_samples import content, headers

from calotype import errors
from calotype.limits import Limits
from calotype.packets import (
    PacketHeader,
    Receiver,
    join,
    read_packet,
    split,
    write_packet,
)


def test_duplicates_and_two_interleaved_streams() -> None:
    files = [content(700, seed) for seed in (1, 2)]
    first, second = (split(data, 100, 0.3) for data in files)
    mixed = [packet for pair in zip(first, second, strict=True) for packet in pair] * 2
    receiver = Receiver()
    for packet in mixed:
        assert receiver.feed(packet)
    assert [stream.data for stream in receiver.streams] == files
    assert [stream.received for stream in receiver.streams] == [headers(first)[0].data] * 2
    numbers = [zlib.crc32(data) & 0xFFF for data in files]
    assert [stream.id for stream in receiver.streams] == numbers
    assert [join(mixed, stream=number) for number in numbers] == files
    with pytest.raises(errors.FormatError, match=f"several files.*{numbers[0]}, {numbers[1]}"):
        join(mixed)


def test_streams_of_one_number_are_told_apart_by_their_shape() -> None:
    files = [content(700), content(900)]
    mixed = [packet for data in files for packet in split(data, 100, 0.3, stream=7)]
    receiver = Receiver()
    for packet in mixed:
        receiver.feed(packet)
    assert [stream.data for stream in receiver.streams] == files


def test_a_stream_of_another_version_is_passed_over() -> None:
    data = content(300)
    packets = split(data, 100, 0.3)
    others = [bytes([packet[0] & 0xF0 | 2]) + packet[1:] for packet in packets]
    receiver = Receiver()
    for packet in [*others, *packets]:
        receiver.feed(packet)
    assert receiver.best().data == data
    assert (receiver.unsupported, receiver.damaged) == (len(packets), 0)
    with pytest.raises(errors.TruncatedError, match=f"0 were damaged, {len(packets)} of another version"):
        join(others)
    with pytest.raises(errors.UnsupportedError, match="version 2 "):
        read_packet(others[0])


def test_no_single_wrong_bit_passes() -> None:
    packet = split(content(40), 100, 0)[0]
    for bit in range(8 * len(packet)):
        damaged = bytearray(packet)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.FormatError):
            read_packet(bytes(damaged))


def test_wrong_bits_never_give_a_wrong_file() -> None:
    data, rng = content(600), np.random.default_rng(5)
    packets = split(data, 100, 0.5)
    for _ in range(100):
        received = []
        for packet in packets:
            bits = np.unpackbits(np.frombuffer(packet, np.uint8))
            received.append(np.packbits(bits ^ (rng.random(bits.size) < 0.0005)).tobytes())
        try:
            assert join(received) == data
        except errors.TruncatedError:
            assert sum(a != b for a, b in zip(packets, received, strict=True)) > 2


def test_damage_that_no_packet_shows_is_found_by_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    data = content(600)
    packets = split(data, 100, 0.5)
    header, payload = read_packet(packets[3])
    forged = write_packet(header, bytes([payload[0] ^ 1]) + payload[1:])
    wrong = [*packets[:3], forged, *packets[4:7]]
    with pytest.raises(errors.ChecksumError, match="do not give the file that was sent"):
        join(wrong)
    assert join([*wrong, *packets]) == data  # the stream begins anew


@pytest.mark.parametrize(
    "header",
    [
        PacketHeader(stream=1, data=3, head=4, index=0),
        PacketHeader(stream=1, data=3, head=0, index=256),
        PacketHeader(stream=1, data=2048, head=0, index=4095),
        PacketHeader(stream=1, data=3, head=0, index=0, head_repair=True),
        PacketHeader(stream=1, data=2048, head=129, index=0, head_repair=True),
        PacketHeader(stream=1, data=3, head=1, index=255, head_repair=True),
    ],
)
def test_headers_that_make_no_sense(header: PacketHeader) -> None:
    packet = write_packet(header, b"payload")
    receiver = Receiver()
    if header == PacketHeader(stream=1, data=2048, head=0, index=4095):
        assert receiver.feed(packet)  # the last one that there is
        return
    assert receiver.feed(packet) is None
    assert (receiver.damaged, receiver.streams) == (1, ())


@pytest.mark.parametrize("packet", [b"", bytes(8), b"\x01" + bytes(1400), b"\x01" + bytes(99)])
def test_bytes_that_are_no_packet(packet: bytes) -> None:
    receiver = Receiver()
    assert receiver.feed(packet) is None
    assert receiver.damaged + receiver.unsupported == 1


def test_a_message_that_makes_no_sense() -> None:
    header = PacketHeader(stream=1, data=1, head=0, index=0)
    for payload in (b"abc", b"\0\0\0\0\xff\xff\xff\xff\xff", b"\0\0\0\0\x05abcd", b"\0\0\0\0"):
        with pytest.raises(errors.ChecksumError):
            join([write_packet(header, payload)])
    longer = replace(header, data=2)
    for payload in (b"abc", b"\0\0\0\0\x85\x00..."):
        with pytest.raises(errors.FormatError):
            join([write_packet(longer, payload)], partial=True)


def test_only_as_many_packets_are_kept_as_the_limits_allow() -> None:
    packets = split(content(3000), 100, 0)
    limits = Limits(max_packets=5)
    receiver = Receiver(limits)
    for packet in packets[:5] * 3:
        receiver.feed(packet)
    with pytest.raises(errors.LimitError, match=r"at most 5 packets .*max_packets"):
        receiver.feed(packets[5])
    with pytest.raises(errors.LimitError):
        join(packets, limits=limits)
