"""Data of PNG files that Pillow's reader does not pass on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

__all__ = [
    "SIGNATURE",
    "PngHeader",
    "alpha_of_key_colour",
    "cicp_codes",
    "imagemagick_raw_profile",
    "missing_png_rows",
    "read_png_header",
]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_BLOCK = 1 << 16
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_GREY, _RGB = 0, 2
# For each pass of Adam7: x and y of its first pixel, and the distances to the next pixels.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PROFILE_KEY = "Raw profile type "


@dataclass(frozen=True)
class PngHeader:
    """The chunk IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    def passes(self) -> Iterator[tuple[int, int]]:
        """Yields (number of rows, bytes of each with its filter) of each pass that has pixels."""
        bits = self.depth * _SAMPLES[self.colour]
        for x, y, across, down in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -((x - self.width) // across), -((y - self.height) // down)
            if columns > 0 and rows > 0:
                yield rows, 1 + (columns * bits + 7) // 8


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields (name, length) of each chunk, with the file at its data, up to the first damaged chunk."""
    file.seek(len(SIGNATURE))
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        after = file.tell() + length + 4
        yield name, length
        file.seek(after)


def read_png_header(file: BinaryIO) -> PngHeader | None:
    """Reads the header of a PNG file; None if it cannot be read."""
    for name, length in _png_chunks(file):
        if name != b"IHDR" or length != 13:
            return None
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", file.read(13))
        return PngHeader(width, height, depth, colour, bool(interlaced)) if colour in _SAMPLES else None
    return None


def cicp_codes(file: BinaryIO) -> tuple[int, int, int, int] | None:
    """Reads the chunk cICP: codes of primaries, transfer function and matrix (ITU-T H.273), and the range."""
    for name, length in _png_chunks(file):
        if name == b"IDAT":
            return None
        if name == b"cICP" and length == 4:
            data = file.read(4)
            if file.read(4) == struct.pack(">I", zlib.crc32(name + data)):
                return data[0], data[1], data[2], data[3]
    return None


def missing_png_rows(file: BinaryIO) -> int:
    """Returns the number of rows of pixels that the file lacks, which Pillow paints black.

    For an interlaced picture the rows of all passes are counted.
    """
    header = read_png_header(file)
    if header is None:
        return 0
    passes = list(header.passes())
    held = _inflated_size(file, sum(rows * stride for rows, stride in passes))
    missing = 0
    for rows, stride in passes:
        missing += max(0, rows - held // stride)
        held -= min(held, rows * stride)
    return missing


def _inflated_size(file: BinaryIO, enough: int) -> int:
    """Returns the inflated size of the IDAT chunks in bytes, at most about ``enough``."""
    inflater, size = zlib.decompressobj(), 0
    for name, length in _png_chunks(file):
        if name != b"IDAT":
            continue
        while length > 0 and (block := file.read(min(length, _BLOCK))):
            length -= len(block)
            try:
                while block and size < enough:
                    size += len(inflater.decompress(block, _BLOCK))
                    block = inflater.unconsumed_tail
            except zlib.error:
                return size
            if size >= enough:
                return size
    return size


def alpha_of_key_colour(file: BinaryIO) -> NDArray[np.uint8] | None:
    """Returns alpha uint8[H, W] by the transparent colour of a file whose depth is not the one of Pillow's
    pixels.

    The result is None if the file has no such colour, or if Pillow applies it correctly. Pillow does not for
    16-bit RGB, of which it keeps the upper bytes, for 2 and 4 bits, where it compares a scaled value with an
    unscaled one, and in older releases for 1 bit.
    """
    header = read_png_header(file)
    if header is None:
        return None
    if header.colour == _GREY and header.depth in (1, 2, 4):
        image = _row_reader(file)
        key = image.info.get("transparency")
        if key is None:
            return None
        levels = (1 << header.depth) - 1
        return _alpha_of_hidden_pixels(np.asarray(image.convert("L")) == (key & levels) * (255 // levels))
    if header.colour == _RGB and header.depth == 16:
        image = _row_reader(file)
        key = image.info.get("transparency")
        if key is None:
            return None
        upper = np.asarray(image)
        lower = np.asarray(_row_reader(file, "RGB;16L"))  # These are the other bytes of the samples.
        wanted = np.array(key)
        return _alpha_of_hidden_pixels(((upper == wanted >> 8) & (lower == (wanted & 255))).all(-1))
    return None


def _row_reader(file: BinaryIO, raw_mode: str | None = None) -> PngImageFile:
    file.seek(0)
    image = PngImageFile(file)
    if raw_mode is not None:
        image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    return image


def _alpha_of_hidden_pixels(hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(hidden, 0, 255).astype(np.uint8)


def imagemagick_raw_profile(info: Mapping[Any, Any], *kinds: str) -> bytes | None:
    """Returns a raw profile of one of ``kinds``, such as "exif", that ImageMagick has written as text.

    ``info`` is that of the image. The result is None without such a profile. Raises ``ValueError`` for a
    damaged one.
    """
    for kind in kinds:
        text = info.get(_PROFILE_KEY + kind)
        if isinstance(text, str):
            try:
                _, length, digits = text.split(maxsplit=2)
                data = bytes.fromhex(digits)
                if len(data) == int(length):
                    return data
            except ValueError:
                pass
            raise ValueError(f"the raw profile {kind} is damaged")
    return None
