from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from source_samples import COLOURS, load, saved

from calotype.errors import CalotypeError, CalotypeWarning, LimitError, SourceError
from calotype.limits import Limits


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels at all."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT"
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (ihdr, idat))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp_header(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_every_kind_of_source_gives_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(saved())
    reading, writing = os.pipe()
    os.write(writing, saved())
    os.close(writing)
    with path.open("rb") as file, os.fdopen(reading, "rb") as pipe:
        for source in (path, str(path), file, pipe, io.BytesIO(saved()), Image.open(path), COLOURS):
            np.testing.assert_array_equal(load(source).rgb, COLOURS)
        assert not file.closed


def test_files_are_closed_after_reading(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(saved()[:60])
    with pytest.raises(SourceError), warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        load(path)
    path.unlink()


def test_arrays_are_sources() -> None:
    grey, rgba = COLOURS[..., 0], np.dstack([COLOURS, COLOURS[..., :1] | 1])
    assert load(grey).grey
    np.testing.assert_array_equal(load(rgba).alpha, rgba[..., 3])
    np.testing.assert_array_equal(load(COLOURS[::-1, ::2]).rgb, COLOURS[::-1, ::2])
    picture = load(COLOURS)
    assert not np.shares_memory(picture.rgb, COLOURS)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (COLOURS.astype(np.float32), TypeError, "array of float32"),
        (COLOURS[None], ValueError, r"\(1, 12, 20, 3\)"),
        (COLOURS[..., :2], ValueError, r"\(12, 20, 2\)"),
        (COLOURS[:0], ValueError, r"\(0, 20, 3\)"),
        (saved(), TypeError, "a bytes"),
        (io.StringIO("text"), TypeError, "a StringIO"),
        (None, TypeError, "a NoneType"),
    ],
)
def test_other_objects_are_refused_as_sources(source: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(source)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "cut.png").write_bytes(saved()[:200])
    for name, reason in {
        "missing.png": "No such file or directory",
        ".": "Is a directory",
        "empty.png": "is empty",
        "notes.txt": "is not an image in a format that can be read",
        "cut.png": "cannot be read: image file is truncated",
        "nul\0": "cannot be read: embedded null byte",
    }.items():
        path = str(tmp_path / name)
        with pytest.raises(SourceError, match=reason) as caught:
            load(path)
        assert str(caught.value).startswith(path)
        assert "\n" not in str(caught.value)


def test_a_truncated_jpeg_file_is_refused() -> None:
    data = saved("JPEG", quality=95)
    for end in (1, 2, 20, len(data) // 2, len(data) - 30):
        with pytest.raises(SourceError):
            load(io.BytesIO(data[:end]))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "TGA", "ICO"])
def test_damage_gives_our_errors_only(format_: str) -> None:
    data = saved(format_)
    positions = range(0, len(data), 1 + len(data) // 150)
    damaged = [data[:position] for position in positions]
    damaged += [data[:p] + bytes([data[p] ^ 0xA5]) + data[p + 1 :] for p in positions]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in damaged:
            try:
                load(io.BytesIO(data), Limits(max_pixels=100_000), strict=False)
            except CalotypeError as error:
                assert str(error)


def test_a_stream_that_fails() -> None:
    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(SourceError, match="the stream cannot be read: Input/output error"):
        load(Failing())


def test_images_without_pixels() -> None:
    with pytest.raises(SourceError, match="its size is 0x5"):
        load(Image.new("RGB", (0, 5)))


def test_no_program_is_run_for_eps() -> None:
    with pytest.raises(SourceError, match="not an image"):
        load(io.BytesIO(saved("EPS")))


@pytest.mark.parametrize(
    "header", [png_header(50_000, 40_000), webp_header(1 << 24, 1 << 24), webp_header(300, 1)]
)
def test_the_claimed_size_is_checked_before_the_pixels(header: bytes) -> None:
    with pytest.raises(LimitError, match="pixels"):
        load(io.BytesIO(header), Limits(max_side=200))


def test_limits_hold_for_every_kind_of_source() -> None:
    for source in (COLOURS, Image.fromarray(COLOURS), io.BytesIO(saved()), io.BytesIO(saved("WEBP"))):
        load(source, Limits(max_pixels=240, max_side=20))
        with pytest.raises(LimitError, match="20x12"):
            load(source, Limits(max_pixels=239))
        with pytest.raises(LimitError, match="20x12"):
            load(source, Limits(max_side=19))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "AVIF"])
def test_pillows_own_limit_is_neither_used_nor_touched(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(format_)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert load(io.BytesIO(data)).rgb.shape == COLOURS.shape  # no warning, which would be an error here
    assert Image.MAX_IMAGE_PIXELS == 10


def test_what_a_reader_refuses_itself_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(file: object, name: object) -> None:
        raise Image.DecompressionBombError("240 pixels exceed 20")

    monkeypatch.setitem(Image.OPEN, "PNG", (refusing, lambda start: start.startswith(b"\x89PNG")))
    with pytest.raises(LimitError, match="MAX_IMAGE_PIXELS: 240 pixels"):
        load(io.BytesIO(saved()))


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_only_the_first_of_several_frames_is_read(format_: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "film"
    options = {"lossless": True} if format_ == "WEBP" else {}
    frames[0].save(path, format_, save_all=True, append_images=frames[1:], **options)
    with pytest.warns(CalotypeWarning, match=r"film holds several frames: only frame 1 is encoded"):
        picture = load(path, strict=False)
    assert np.abs(picture.rgb.astype(int) - (255, 0, 0)).max() <= 3
    with pytest.raises(SourceError, match="several frames"):
        load(path, strict=True)


def test_the_current_frame_of_an_open_image() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    image = Image.open(file)
    image.seek(1)
    with pytest.warns(CalotypeWarning, match="the image holds several frames: only frame 2"):
        picture = load(image, strict=False)
    assert picture.rgb[0, 0].tolist() == [0, 255, 0]


def test_one_frame_is_no_animation() -> None:
    for format_ in ("GIF", "WEBP", "PNG"):
        load(io.BytesIO(saved(format_)))


def test_the_parts_of_an_mpo_are_one_picture() -> None:
    file = io.BytesIO()
    first = Image.fromarray(COLOURS)
    first.save(file, "MPO", save_all=True, append_images=[first.resize((5, 3))])
    assert load(file).rgb.shape == COLOURS.shape
