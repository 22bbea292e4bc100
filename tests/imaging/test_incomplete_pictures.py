"""Pictures with missing rows, and files that end too early or are damaged."""

import io
import re
import struct
from typing import Any

import numpy as np
import pytest
from picture_files import GREY, PALETTE, RGB, RGB_ALPHA, png, tiff
from PIL import Image, ImageFile
from source_samples import COLOURS, load

from calotype.errors import SourceError

SIZE = (11, 7)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "colour"), [(1, GREY), (2, GREY), (8, PALETTE), (8, RGB), (16, RGB_ALPHA)])
def test_png_with_missing_rows(depth: int, colour: int, interlaced: bool) -> None:
    channels = {GREY: 1, PALETTE: 1, RGB: 3, RGB_ALPHA: 4}[colour]
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    rows = []
    for x, y, across, down in passes if interlaced else ((0, 0, 1, 1),):
        columns = len(range(x, SIZE[0], across))
        rows += [bytes((columns * channels * depth + 7) // 8)] * len(range(y, SIZE[1], down))
    chunks = [(b"PLTE", b"abc")]
    for missing in (0, 1, 3):
        file = png(SIZE, depth, colour, rows[: len(rows) - missing], chunks, interlaced=interlaced)
        for source in (file, Image.open(file)):
            if missing:
                with pytest.raises(
                    SourceError, match=f"cannot be read: {missing} rows of its pixels are missing"
                ):
                    load(source)
            else:
                assert load(source).rgb.shape == (7, 11, 3)


def test_png_that_ends_within_a_row() -> None:
    pixels = [bytes(20 * 3)] * 11 + [bytes(7)]
    with pytest.raises(SourceError, match="image file is truncated"):
        load(png((20, 12), 8, RGB, pixels))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(130, 90), (9, 200)])
def test_jpeg_with_missing_rows(mode: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, "JPEG", quality=90)
    data = file.getvalue()
    start = data.index(b"\xff\xda") + 20
    assert load(file).rgb.shape == noise.shape
    for share in (0.02, 0.5, 0.9):
        cut = io.BytesIO(data[: start + int(share * (len(data) - start))].rstrip(b"\xff") + b"\xff\xd9")
        for source in (cut, Image.open(cut)):
            with pytest.raises(
                SourceError, match=r"cannot be read: (\d+) rows of its pixels are missing"
            ) as caught:
                load(source)
            missing = int(re.search(r"(\d+) rows", str(caught.value))[1])
            assert abs(missing - (1 - share) * size[1]) <= 16


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": "4:2:0"}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (70, 33)])
def test_grey_jpeg_is_complete(size: tuple[int, int], options: dict[str, Any]) -> None:
    for colour in ((128, 128, 128), (127, 127, 127), (128, 0, 128)):
        file = io.BytesIO()
        Image.new("RGB", size, colour).save(file, "JPEG", **options)
        for data in (file.getvalue(), file.getvalue() + b"behind it \xff\xd9"):
            assert load(io.BytesIO(data)).rgb.shape == (*size[::-1], 3)


def test_truncated_files_that_the_application_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert load(png((20, 12), 8, RGB, [bytes(60)] * 3)).rgb.shape == (12, 20, 3)


def test_tiff_with_missing_strips() -> None:
    data = bytearray(tiff(COLOURS[..., 0], 1, 8).getvalue())
    whole = bytes(data)
    assert load(io.BytesIO(whole)).rgb.shape == COLOURS.shape
    place = whole.index(struct.pack("<HHI", 278, 4, 1)) + 8
    struct.pack_into("<I", data, place, 5)  # the one strip has 5 of the 12 rows
    with pytest.raises(SourceError, match="7 rows of its pixels are missing"):
        load(io.BytesIO(data))


COLOUR_MAP = bytes([9, 9, 9, 200, 0, 0])


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([], "cannot be read: its palette is missing"),
        ([(b"PLTE", b"")], "cannot be read: its palette is damaged: it has 0 bytes"),
        ([(b"PLTE", COLOUR_MAP[:5])], "cannot be read: its palette is damaged: it has 5 bytes"),
        ([(b"PLTE", bytes(900))], "cannot be read: invalid palette size"),
        ([(b"PLTE", COLOUR_MAP[:3])], "has pixels whose colours are missing in its palette: they are black"),
        ([(b"PLTE", COLOUR_MAP), (b"iCCP", b"x")], "cannot be read as PNG: Unknown compression method"),
        ([(b"PLTE", COLOUR_MAP), (b"iCCP", b"")], "cannot be read as PNG: it is damaged or ends too early"),
    ],
)
def test_png_with_a_broken_palette_or_profile(chunks: list[tuple[bytes, bytes]], reason: str) -> None:
    with pytest.raises(SourceError, match=f"^the stream {reason}"):
        load(png((2, 1), 8, PALETTE, [b"\0\1"], chunks))


def test_png_with_a_wrong_checksum_of_its_palette() -> None:
    data = png((2, 1), 8, PALETTE, [b"\0\1"], [(b"PLTE", COLOUR_MAP)]).getvalue()
    with pytest.raises(
        SourceError, match=r"cannot be read as PNG: broken PNG file .bad header checksum in b'PLTE'"
    ):
        load(io.BytesIO(data.replace(COLOUR_MAP, bytes(6))))


@pytest.mark.parametrize("start", [b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"\xff\xd8\xff\xe0"])
def test_files_that_end_after_their_signature(start: bytes) -> None:
    with pytest.raises(
        SourceError, match=r"^the stream cannot be read as [A-Z]+: it is damaged or ends too early"
    ):
        load(io.BytesIO(start))


@pytest.mark.parametrize("length", range(1, 8))
def test_files_of_a_few_bytes_are_refused(length: int) -> None:
    for content in (b"abcdefgh", b"P5 2 3 4", b"BM\0\0\0\0\0\0", b"RIFF\0\0\0\0"):
        with pytest.raises(SourceError) as caught:
            load(io.BytesIO(content[:length]))
        assert "unpack" not in str(caught.value)
