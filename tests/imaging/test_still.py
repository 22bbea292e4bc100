from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.errors import FormatError, UnsupportedError
from calotype.imaging import pack_av1, pack_vp8, still, unpack_av1, unpack_vp8
from calotype.imaging.av1 import avif_of_frame

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8")
SIZES = [(1, 1), (2, 3), (40, 48), (137, 24), (7, 300), (600, 9)]


def picture(width: int, height: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3, y * 5, x + y], -1).astype(np.uint8)


def by_pillow(rgb: NDArray[np.uint8], format_: str, **options: object) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format_, **options)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_vp8_gives_the_pixels_of_the_webp_file(width: int, height: int) -> None:
    rgb = picture(width, height)
    data = pack_vp8(rgb, 40)
    assert np.array_equal(unpack_vp8(data, width, height), by_pillow(rgb, "WEBP", quality=40, method=6))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_av1_gives_the_pixels_of_the_avif_file(width: int, height: int) -> None:
    rgb = picture(width, height)
    data = pack_av1(rgb, 40, monochrome=False)
    assert data is not None
    expected = by_pillow(rgb, "AVIF", quality=40, subsampling="4:2:0", **still._AV1_SETTINGS)
    assert np.array_equal(unpack_av1(data, width, height, monochrome=False), expected)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_monochrome_av1_has_no_colours(width: int, height: int) -> None:
    rgb = picture(width, height)
    data = pack_av1(rgb, 70, monochrome=True)
    assert data is not None
    decoded = unpack_av1(data, width, height, monochrome=True)
    assert (decoded == decoded[..., :1]).all()
    luma = np.asarray(Image.fromarray(rgb).convert("L")).astype(int)
    assert np.abs(decoded[..., 0] - luma).mean() < 8


def test_the_headers_that_are_left_out_are_most_of_a_small_file() -> None:
    rgb = picture(40, 20)
    for format_, data, header in (
        ("WEBP", pack_vp8(rgb, 20), 27),
        ("AVIF", pack_av1(rgb, 20, monochrome=False), 280),
    ):
        file = io.BytesIO()
        options = {"method": 6} if format_ == "WEBP" else {"speed": 0}
        Image.fromarray(rgb).save(file, format_, quality=20, **options)
        assert data is not None
        assert len(data) + header <= len(file.getvalue())


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x10\x00", bytes(50), b"\x00" + b"\xff" * 40])
def test_other_bytes_are_no_picture(data: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_vp8(data, 16, 8)
    with pytest.raises(FormatError):
        unpack_av1(b"\x80" + data, 16, 8, monochrome=False)
    with pytest.raises(FormatError):
        unpack_av1(data[:1], 16, 8, monochrome=False)


def test_another_encoder_than_libaom_is_used_without_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(still._AV1_SETTINGS, "codec", "rav1e")
    data = pack_av1(picture(16, 8), 90, monochrome=False)
    assert data is not None
    assert np.abs(unpack_av1(data, 16, 8, monochrome=False) - picture(16, 8).astype(int)).mean() < 8


def test_a_pillow_without_avif_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_av1(picture(8, 8), 40, monochrome=False)
    assert data is not None
    monkeypatch.setattr(still, "has_av1", lambda: False)
    with pytest.raises(UnsupportedError, match="without AVIF"):
        unpack_av1(data, 8, 8, monochrome=False)


def test_the_document_has_the_boxes_that_are_written() -> None:
    section = DOCUMENT.partition("## 14. Patches")[2]
    blocks = [block.replace("\n", "") for block in re.findall(r"```text\n([^`]+)```", section)]
    for monochrome, block in zip((False, True), blocks, strict=True):
        file = avif_of_frame(b"\x36frame", 300, 40, monochrome=monochrome)
        size = len(file) - len(block) // 2
        numbers = {"W": 300, "H": 40, "N": size, "M": size + 8}
        for letter, number in numbers.items():
            block = block.replace(letter * 8, f"{number:08X}")
        assert file.startswith(bytes.fromhex(block))


def test_the_document_describes_the_sequence_header() -> None:
    file = avif_of_frame(b"\x36frame", 300, 40, monochrome=False)
    bits = "000 1 1 11111 1000 0101 100101011 100111 0 1 1 0 1 1 0 0 0 1 00 0 0 1".replace(" ", "")
    sequence = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    assert file.endswith(bytes([0x0A, len(sequence)]) + sequence + b"\x32\x05frame")
