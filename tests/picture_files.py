"""Picture files, built from their definition, that Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def png_chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    size: tuple[int, int],
    depth: int,
    colour: int,
    rows: Sequence[bytes],
    chunks: Sequence[tuple[bytes, bytes]] = (),
    *,
    interlaced: bool = False,
) -> io.BytesIO:
    """``rows`` as they are packed, without filter; ``chunks`` stand before the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts))


def rgb_png(pixels: NDArray[np.uint8], *chunks: tuple[bytes, bytes]) -> io.BytesIO:
    """uint8[H, W, 3] as a PNG of 8 bits."""
    height, width = pixels.shape[:2]
    return png((width, height), 8, RGB, [row.tobytes() for row in pixels], chunks)


def raw_profile(kind: str, data: bytes) -> tuple[bytes, bytes]:
    """A zTXt chunk as ImageMagick writes it."""
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(data):8}\n{lines}\n"
    return b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text.encode())


def tiff(pixels: NDArray[np.generic], photometric: int, bits: int, sample_format: int = 1) -> io.BytesIO:
    """Grey values [H, W], as they lie in memory (or packed, uint8[H, bytes]), in one strip; ``bits`` each."""
    data = pixels.tobytes()
    height, width = pixels.shape
    width = width * pixels.itemsize * 8 // bits
    values = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 8,
        277: 1,
        278: height,
        279: len(data),
        339: sample_format,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    directory = struct.pack("<H", len(values)) + entries + bytes(4)
    return io.BytesIO(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def jp2(pixels: NDArray[np.uint8], colr: bytes) -> io.BytesIO:
    """A lossless JPEG 2000 file whose colours are described by the content ``colr`` of such a box."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG2000")
    data = file.getvalue()
    start = data.index(b"jp2h") - 4
    size = struct.unpack_from(">I", data, start)[0]
    header = data[start + 8 : start + size]
    ihdr = header[: struct.unpack_from(">I", header)[0]]
    return io.BytesIO(data[:start] + box(b"jp2h", ihdr + box(b"colr", colr)) + data[start + size :])


def avif(pixels: NDArray[np.uint8], primaries: int, transfer: int) -> io.BytesIO:
    """An AVIF file whose ``nclx`` box names the two code points."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "AVIF", quality=100, subsampling="4:4:4", speed=10, max_threads=1)
    data = bytearray(file.getvalue())
    place = data.index(b"colrnclx") + 8
    struct.pack_into(">HH", data, place, primaries, transfer)
    return io.BytesIO(bytes(data))


def bmp(pixels: NDArray[np.uint8], header: bytes, after: bytes = b"") -> io.BytesIO:
    """A BMP of 24 bits; ``header`` is what follows the first 40 bytes of its header, ``after`` the pixels."""
    height, width = pixels.shape[:2]
    rows = [row[:, ::-1].tobytes() for row in pixels[::-1]]
    data = b"".join(row + bytes(-len(row) % 4) for row in rows)
    size = 40 + len(header)
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, 24, 0, len(data), 0, 0, 0, 0) + header
    start = struct.pack("<2sIHHI", b"BM", 14 + size + len(data) + len(after), 0, 0, 14 + size)
    return io.BytesIO(start + info + data + after)
