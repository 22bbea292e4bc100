"""The whole way from bytes to a picture, with the tiny model: ``read_info`` and ``decode``.

Checksums keep a fuzzer out of all that lies behind them, so that every input is tried twice: as it comes,
and with the CRC-32 of every chunk and of the integers put right.
"""

from __future__ import annotations

import warnings
import zlib

from common import main, refusals_are_fine, watched

with watched():
    import numpy as np

    import calotype
    from calotype.container import Header, file_checksum, parse_file, read_layout
    from calotype.container.varint import read_varint
    from calotype.decoding import decode_latents
    from calotype.errors import CalotypeError, ChecksumError
    from calotype.limits import Limits

__all__ = ["one_input", "repaired"]

LIMITS = Limits(max_pixels=4096, max_chunks=8, max_chunk_bytes=2048, max_metadata_bytes=2048)


def repaired(data: bytes) -> bytes:
    """``data`` with right checksums, as far as there is anything to be put right."""
    parse_file(data, limits=LIMITS)
    layout = read_layout(data, LIMITS)
    start = layout.chunks - 4
    fixed = bytearray(data)
    position = layout.chunks if layout.chunks < layout.start else layout.end
    while position < len(data):
        try:
            size, first = read_varint(data, position + 1)
        except CalotypeError:
            break
        last = first + size
        if last + 4 > len(data):
            break
        fixed[last : last + 4] = zlib.crc32(data[position:last]).to_bytes(4, "little")
        position = last + 4 if last + 4 != layout.start else layout.end
    fixed[start : start + 4] = _right_checksum(bytes(fixed)).to_bytes(4, "little")
    return bytes(fixed)


def _right_checksum(data: bytes) -> int:
    """What the checksum should be, learned from the decoder when it asks for it."""
    parsed = parse_file(data, limits=LIMITS)
    requests = []

    def listen(header: Header, integers: bytes) -> int:
        requests.append(file_checksum(header, integers))
        return requests[-1]

    original, calotype.decoding.latents.file_checksum = calotype.decoding.latents.file_checksum, listen
    try:
        decode_latents(parsed)
    except ChecksumError:
        if not requests:
            raise
    finally:
        calotype.decoding.latents.file_checksum = original
    return requests[-1]


def check(data: bytes) -> None:
    """If there is a picture, it is what ``read_info`` announces, and the same in strict mode."""
    try:
        info = calotype.read_info(data, LIMITS)
    except CalotypeError:
        info = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", calotype.CalotypeWarning)
        image = calotype.decode(data, model="tiny", limits=LIMITS)
        assert info is not None
        assert (image.mode, image.size) == (info.mode, (info.width, info.height))
        assert 8 * info.file_size <= (info.bpp + 1) * info.width * info.height
        plain = calotype.decode(data, model="tiny", limits=LIMITS, as_array=True)
        assert plain.shape[:2] == (info.height, info.width)
        marked = calotype.decode(data, model="tiny", limits=LIMITS, overlay=True, as_array=True)
        assert marked.shape[:2] == plain.shape[:2]
        if all(chunk.intact for chunk in info.chunks):
            strict = calotype.decode(data, model="tiny", limits=LIMITS, strict=True, as_array=True)
            assert np.array_equal(strict, plain)


@refusals_are_fine
def one_input(data: bytes) -> None:
    refusals_are_fine(check)(data)
    check(repaired(data))


if __name__ == "__main__":
    main(one_input)
