"""The receiver: packets to files, in any order, with losses, duplicates, damage and several streams."""

from __future__ import annotations

from collections.abc import Iterable

from calotype.arguments import check_type
from calotype.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from calotype.limits import Limits
from calotype.packets.blocks import place_of
from calotype.packets.header import read_packet
from calotype.packets.stream import Stream, StreamKey

__all__ = ["Receiver", "join"]


class Receiver:
    """Sorts packets by their streams, and joins them to files.

    ``damaged`` counts the damaged packets, and ``unsupported`` those of another version of the format. A
    receiver must not be shared by threads.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        """Only ``max_packets`` of ``limits`` is used. Raises ``TypeError``."""
        check_type("limits", limits, Limits | None)
        self._most = (limits or Limits()).max_packets
        self._streams: dict[StreamKey, Stream] = {}
        self._left = self._most
        self.damaged = 0
        self.unsupported = 0

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Returns the streams of which a packet has arrived, in the order of their first packets."""
        return tuple(self._streams.values())

    def feed(self, packet: bytes) -> Stream | None:
        """Takes one packet. Returns its stream, or None for a packet that cannot be used.

        Raises :class:`LimitError` when more packets than ``Limits.max_packets`` would have to be kept, and
        :class:`ModelError` if lost packets cannot be recovered without zfec.
        """
        check_type("packet", packet, bytes | bytearray | memoryview)
        try:
            header, payload = read_packet(bytes(packet))
            place_of(header)
        except UnsupportedError:
            self.unsupported += 1
            return None
        except (FormatError, LimitError):
            self.damaged += 1
            return None
        key = StreamKey(header.stream, header.data, header.head, len(payload))
        stream = self._streams.get(key) or Stream(key)
        if stream.complete or stream.has(header):
            return stream
        if not self._left:
            raise LimitError(f"at most {self._most} packets can be kept (raise max_packets to lift this)")
        self._left -= 1
        self._streams[key] = stream
        stream.add(header, payload)
        return stream

    def best(self, stream: int | None = None) -> Stream:
        """Returns a complete stream or, if there is none, the one with the most packets.

        ``stream`` is its number; None allows any. Raises :class:`FormatError` if there is none or if several
        are complete.
        """
        streams = [candidate for candidate in self.streams if stream in (None, candidate.id)]
        if not streams:
            raise TruncatedError(self._why_nothing(stream))
        complete = [candidate for candidate in streams if candidate.complete]
        if len({candidate.data for candidate in complete}) > 1:
            numbers = ", ".join(str(candidate.id) for candidate in complete)
            raise FormatError(f"the packets are of several files: choose one of the streams {numbers}")
        return complete[0] if complete else max(streams, key=lambda candidate: candidate.received)

    def _why_nothing(self, stream: int | None) -> str:
        of_stream = "" if stream is None else f" of stream {stream}"
        return (
            f"there is no packet{of_stream} that can be used "
            f"({self.damaged} were damaged, {self.unsupported} of another version)"
        )


def join(
    packets: Iterable[bytes],
    *,
    stream: int | None = None,
    partial: bool = False,
    limits: Limits | None = None,
) -> bytes:
    """Returns the file that was split into ``packets``, verified by its checksum.

    The packets may come in any order and more than once. Some may be missing, damaged or of other versions.
    ``stream`` chooses a file among several. With ``partial`` the result may be the beginning of the file, up
    to the first gap. It is not verified; ``calotype.decode`` with ``partial`` decodes it.

    Raises :class:`TruncatedError` if too few packets are there, :class:`ChecksumError` if they do not give
    the file that was sent, :class:`FormatError` if several files are there, :class:`LimitError`, and
    :class:`ModelError` if lost packets cannot be recovered without zfec.
    """
    check_type("stream", stream, int | None)
    check_type("partial", partial, bool)
    receiver = Receiver(limits)
    for packet in packets:
        receiver.feed(packet)
    best = receiver.best(stream)
    return best.prefix if partial else best.data
