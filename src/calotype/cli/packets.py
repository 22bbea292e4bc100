"""``calotype packets``: ``split`` and ``join``."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from calotype.cli.common import count_option, talk_options
from calotype.cli.console import Console
from calotype.cli.files import STDIO, check_target, is_folder, open_command_input, read_calotype, write_target
from calotype.cli.paths import PathType
from calotype.container import EXTENSION
from calotype.errors import CalotypeError, CalotypeWarning, FormatError, OutputError, SourceError
from calotype.limits import Limits
from calotype.packets import (
    DEFAULT_MTU,
    DEFAULT_REDUNDANCY,
    MAX_MTU,
    MIN_MTU,
    Receiver,
    Stream,
    read_packet,
    read_recording,
    write_recording,
)
from calotype.packets import split as split_file

__all__ = ["join", "packets", "split"]

PACKET_EXTENSION = ".packet"
RECORDING_EXTENSION = ".packets"

_force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")


@click.group(short_help="Split files into packets for a lossy link, and join them.")
def packets() -> None:
    """Split files into small packets for a link that loses some, and join those that arrive.

    Recovering lost packets needs 'calotype[packets]'.
    """


@packets.command(short_help="Split a file into packets.")
@click.argument("source", metavar="IN", type=PathType(stdio=True))
@click.argument("target", metavar="OUT", type=PathType(stdio=True))
@click.option(
    "--mtu",
    metavar="BYTES",
    type=click.IntRange(MIN_MTU, MAX_MTU),
    default=DEFAULT_MTU,
    show_default=True,
    help=f"The largest size of a packet, {MIN_MTU} to {MAX_MTU}.",
)
@click.option(
    "--redundancy",
    metavar="SHARE",
    type=click.FloatRange(min=0),
    default=DEFAULT_REDUNDANCY,
    show_default=True,
    help="Number of repair packets for each data packet: 0.3 adds 3 to 10 data packets.",
)
@click.option(
    "--stream",
    metavar="N",
    type=click.IntRange(0, 4095),
    help="The number that tells the file from others on the link, 0 to 4095 (default: from its content).",
)
@click.option(
    "--head/--no-head",
    default=True,
    show_default=True,
    help="Let some repair packets protect the beginning of the file only, so that some picture arrives.",
)
@_force_option
@talk_options
@click.pass_obj
def split(
    console: Console,
    /,
    source: str,
    target: str,
    mtu: int,
    redundancy: float,
    stream: int | None,
    head: bool,
    force: bool,
) -> int:
    """Split a file into packets.

    \b
      calotype packets split photo.calo folder/ --mtu 200 --redundancy 0.3
      calotype packets split photo.calo photo.packets
      calotype packets split photo.calo - | transmitter

    IN is a .calo file, or a file of any other kind; '-' is standard input. In a folder each packet gets a
    file of its own, NAME-0000.packet and so on, in the order in which they should be sent. Any other OUT, '-'
    for standard output, gets one recording: each packet after its length in two bytes, little-endian.
    """
    if console.json and target == STDIO:
        raise click.UsageError("--json and the output '-' would both use standard output: write to a file")
    name = "standard input" if source == STDIO else source
    try:
        data = read_calotype(source, Limits())
        packets = split_file(data, mtu, redundancy, stream=stream, head=head)
    except ValueError as error:
        if isinstance(error, CalotypeError):
            raise
        raise click.UsageError(str(error)) from error
    except CalotypeError as error:
        return console.failure(error, name)
    outputs = {target: write_recording(packets)}
    if _is_output_folder(target):
        stem = "packet" if source == STDIO else Path(source).stem
        outputs = {
            str(Path(target, f"{stem}-{index:04}{PACKET_EXTENSION}")): packet
            for index, packet in enumerate(packets)
        }
    _write_outputs(outputs, target, force=force)
    first = read_packet(packets[0])[0]
    summary = (
        f"{first.data} data packets and {len(packets) - first.data} for repair, of {len(packets[0])} bytes; "
        f"stream {first.stream}"
    )
    console.note(f"{name} -> {'standard output' if target == STDIO else target}: {summary}")
    record = {"input": source, "output": target, "ok": True, "stream": first.stream, "packets": len(packets)}
    console.record(
        {**record, "data_packets": first.data, "packet_bytes": len(packets[0]), "bytes": len(data)}
    )
    return 0


@packets.command(short_help="Join the packets that have arrived to files.")
@click.argument("paths", nargs=-1, required=True, metavar="IN... OUT", type=PathType(stdio=True))
@click.option(
    "--partial",
    is_flag=True,
    help="If too few packets have arrived, write the beginning of the file, for 'calotype decode --partial'.",
)
@click.option("--stream", metavar="N", type=click.IntRange(0, 4095), help="Join this stream only.")
@count_option("--max-packets", default=Limits.max_packets, help="Refuse more packets than this.")
@_force_option
@talk_options
@click.pass_obj
def join(
    console: Console,
    /,
    paths: Sequence[str],
    partial: bool,
    stream: int | None,
    max_packets: int,
    force: bool,
) -> int:
    """Join the packets that have arrived to the file that was sent.

    \b
      calotype packets join folder/ photo.calo
      calotype packets join photo.packets photo.calo
      receiver | calotype packets join --partial - photo.calo

    IN is a folder, a .packet file, or a recording as 'split' writes it; '-' is standard input. Packets may
    come in any order, more than once, damaged, and among those of other files. If OUT is a folder, the file
    of every complete stream goes into it, as stream-NUMBER.calo.
    """
    if len(paths) < 2:
        raise click.UsageError(f"there is no output: add OUT after '{paths[0]}'")
    *sources, target = paths
    if console.json and target == STDIO:
        raise click.UsageError("--json and the output '-' would both use standard output: write to a file")
    receiver = Receiver(replace(Limits(), max_packets=max_packets))
    for source in sources:
        name = "standard input" if source == STDIO else source
        try:
            with console.about(name):
                for packet in _packets_in(source):
                    receiver.feed(packet)
        except CalotypeError as error:
            return console.failure(error, name)
    streams = _joined_streams(receiver, stream, partial) if _is_output_folder(target) else []
    streams = streams or [receiver.best(stream)]
    files = [packet_stream.prefix if partial else packet_stream.data for packet_stream in streams]
    names = [target]
    if _is_output_folder(target):
        names = [str(Path(target, f"stream-{name}{EXTENSION}")) for name in _stream_names(streams)]
    _write_outputs(dict(zip(names, files, strict=True)), target, force=force)
    for packet_stream, name, data in zip(streams, names, files, strict=True):
        _report_stream(console, packet_stream, name, data)
    lost = {"damaged": receiver.damaged, "of another version": receiver.unsupported}
    for kind, count in lost.items():
        if count:
            console.note(f"{count} packets were {kind} and not used")
    return 0


def _joined_streams(receiver: Receiver, stream: int | None, partial: bool) -> list[Stream]:
    """Returns the streams that give a file, or with ``partial`` the beginning of one; reports the others."""
    joined = []
    for candidate in receiver.streams:
        if stream in (None, candidate.id):
            try:
                _ = candidate.prefix if partial else candidate.data
                joined.append(candidate)
            except FormatError as error:
                warnings.warn(str(error), CalotypeWarning, stacklevel=2)
    return joined


def _stream_names(streams: Sequence[Stream]) -> Iterator[str]:
    """Yields a name for each stream: its number, with a second number if that is taken."""
    names_used: Counter[int] = Counter()
    for packet_stream in streams:
        names_used[packet_stream.id] += 1
        yield (
            f"{packet_stream.id}-{names_used[packet_stream.id]}"
            if names_used[packet_stream.id] > 1
            else str(packet_stream.id)
        )


def _report_stream(console: Console, stream: Stream, name: str, data: bytes) -> None:
    record = {"output": name, "ok": True, "stream": stream.id, "packets": stream.received}
    record |= {"bytes": len(data), "complete": stream.complete}
    console.record(record)
    shown = "standard output" if name == STDIO else name
    console.note(f"stream {stream.id} -> {shown}: {len(data):,} bytes from {stream.received} packets")
    if not stream.complete:
        size = stream.file_size
        warnings.warn(
            f"{shown} is only the beginning of the file, {len(data):,} of {size:,} bytes",
            CalotypeWarning,
            stacklevel=2,
        )


def _packets_in(source: str) -> Iterator[bytes]:
    """Yields the packets of an input. If it ends within a packet, there is a warning after the packets
    before."""
    if source != STDIO and is_folder(source):
        inside = sorted(Path(source).iterdir())
        files = [str(path) for path in inside if path.suffix in (PACKET_EXTENSION, RECORDING_EXTENSION)]
        if not files:
            raise SourceError(f"the folder has no {PACKET_EXTENSION} or {RECORDING_EXTENSION} files")
        for inner in files:
            yield from _packets_in(inner)
        return
    with open_command_input(source) as file:
        try:
            if source.endswith(PACKET_EXTENSION):
                yield file.read(MAX_MTU + 1)
            else:
                yield from read_recording(file)
        except FormatError as error:
            warnings.warn(str(error), CalotypeWarning, stacklevel=2)


def _is_output_folder(target: str) -> bool:
    return target != STDIO and (target.endswith(("/", os.sep)) or is_folder(target))


def _write_outputs(outputs: dict[str, bytes], target: str, *, force: bool) -> None:
    """Writes the files; none is written if one of them exists. Raises :class:`OutputError`."""
    if _is_output_folder(target):
        try:
            Path(target).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{target}: the folder cannot be made ({str(error.strerror).lower()})"
            ) from error
    path = target
    try:
        for path in outputs:
            check_target(path, force=force)
        for path, data in outputs.items():
            write_target(path, data, force=force)
    except OutputError as error:
        raise OutputError(f"{'standard output' if path == STDIO else path}: {error}") from error
