from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError
from pillow_samples import COLOURS, FAST, XMP, file_with_metadata, saved

import calotype
from calotype import CalotypeError, read_info, register_pillow
from calotype.container import parse_file, serialise_file
from calotype.errors import (
    ChecksumError,
    LimitError,
    ModelError,
    SourceError,
    TruncatedError,
)
from calotype.imaging import load_picture
from calotype.limits import Limits
from calotype.pillow_plugin import FORMAT, CalotypeImageFile

pytestmark = pytest.mark.usefixtures("registered_plugin")


@pytest.fixture(scope="module")
def described() -> bytes:
    return file_with_metadata()


@pytest.fixture(scope="module")
def data() -> bytes:
    return calotype.encode(Image.fromarray(COLOURS), **FAST)


def test_pillow_saves_and_opens_files(tmp_path: Path) -> None:
    path = tmp_path / "photo.calo"
    Image.fromarray(COLOURS).save(path, **FAST)
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("CALOTYPE", "RGB", (40, 24))
        assert image.get_format_mimetype() == "image/x-calotype"
        expected = calotype.decode(path.read_bytes())
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_are_known_before_loading(mode: str) -> None:
    source = Image.fromarray(COLOURS).convert(mode)
    if mode.endswith("A"):
        source.putpixel((3, 3), (0,) * len(mode))
    image = Image.open(io.BytesIO(saved(source)))
    assert image.mode == mode
    image.load()
    assert image.mode == mode
    assert image.im.mode == mode
    if mode.endswith("A"):
        assert image.getchannel("A").getpixel((3, 3)) == 0


def test_registering_twice_changes_nothing() -> None:
    before = Image.ID.copy()
    register_pillow()
    assert before == Image.ID


def test_opening_reads_the_header_only(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    monkeypatch.setattr(
        "calotype.codec.decode", lambda data, **_: calls.append(data) or Image.new("RGB", (40, 24))
    )
    file = io.BytesIO(data + bytes(100_000))
    image = Image.open(file)
    assert file.tell() < 1000
    assert calls == []
    image.load()
    image.load()
    assert len(calls) == 1


def test_opening_needs_no_onnxruntime(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.calo"
    path.write_bytes(data)
    code = (
        "import sys, calotype; from PIL import Image; calotype.register_pillow();"
        "print(Image.open(sys.argv[1]).size, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(40, 24) False"


def test_nothing_is_registered_by_importing() -> None:
    code = "import calotype, calotype.pillow_plugin; from PIL import Image; print('CALOTYPE' in Image.OPEN)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_bomb_check_of_pillow_works(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))


def test_pillow_closes_files_after_loading(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.calo"
    path.write_bytes(data)
    image = Image.open(path)
    opened = image.fp
    assert opened is not None
    image.load()
    assert opened.closed
    stream = io.BytesIO(data)
    Image.open(stream).load()
    assert not stream.closed


def test_a_closed_image_is_not_loaded(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        pass
    with pytest.raises(OSError, match="cannot load"):
        image.load()


def test_other_files_are_not_ours() -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"not an image"))
    with pytest.raises(SyntaxError, match="not a Calotype file"):
        CalotypeImageFile(io.BytesIO(b"not an image"))


def test_damaged_files_raise_the_errors_of_the_package(data: bytes) -> None:
    with pytest.raises(TruncatedError):
        Image.open(io.BytesIO(data[:12]))
    with pytest.raises(TruncatedError):
        Image.open(io.BytesIO(data[:-1])).load()
    unknown = bytearray(data)
    unknown[6] = 99
    with pytest.raises(CalotypeError, match="99"):
        Image.open(io.BytesIO(bytes(unknown)))
    damaged = bytearray(data)
    damaged[-5] ^= 1
    with pytest.raises(CalotypeError):
        Image.open(io.BytesIO(bytes(damaged))).load()


def test_verify_finds_damage_without_decoding_pixels(data: bytes) -> None:
    Image.open(io.BytesIO(data)).verify()
    damaged = bytearray(data)
    damaged[20] ^= 1  # in the checksum
    with pytest.raises(ChecksumError):
        Image.open(io.BytesIO(bytes(damaged))).verify()
    with pytest.raises(CalotypeError):
        Image.open(io.BytesIO(data + b"\0")).verify()


@pytest.mark.slow
def test_quality_and_size_options() -> None:
    image = Image.fromarray(np.kron(COLOURS, np.ones((8, 8, 1), np.uint8)))
    assert len(saved(image, quality=10)) < len(saved(image, quality=90))
    assert len(saved(image, target_size=2000)) <= 2000
    assert len(saved(image, bpp=0.2)) <= 0.2 * 320 * 192 / 8
    assert (
        read_info(saved(image, quality=40)).level
        == read_info(calotype.encode(image, quality=40, **FAST)).level
    )
    with pytest.raises(ValueError, match="exclude each other"):
        saved(image, quality=10, bpp=1)


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.calo"
    with pytest.raises(ModelError):
        Image.fromarray(COLOURS).save(path, model="no such model")
    assert not path.exists()


def test_saving_respects_strict_and_limits() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    with pytest.raises(SourceError, match="several frames"):
        saved(Image.open(file), strict=True)
    for options in ({}, {"xmp": XMP}):
        with pytest.raises(LimitError):
            saved(Image.fromarray(COLOURS), limits=Limits(max_pixels=100), **options)


def test_a_calo_file_is_a_source_too(data: bytes) -> None:
    picture = load_picture(io.BytesIO(data), limits=Limits(), strict=True)
    np.testing.assert_array_equal(picture.rgb, np.asarray(calotype.decode(data)))


def recoded(scale: int, width: int = 3000, height: int = 3000) -> bytes:
    """A small file whose header claims another size and scale."""
    parsed = parse_file(calotype.encode(np.zeros((8, 8, 3), np.uint8), **FAST), limits=Limits())
    header = dataclasses.replace(parsed.header, width=width, height=height, scale=scale)
    return serialise_file(header, parsed.payload, parsed.checksum)


def test_the_bomb_check_sees_what_is_coded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000_000)
    Image.open(io.BytesIO(recoded(64)))
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(recoded(80)))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(recoded(255)))
    Image.open(io.BytesIO(recoded(8)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(LimitError, match="11954x11954 pixels"):
        load_picture(io.BytesIO(recoded(255)), limits=Limits(max_pixels=9_000_000), strict=True)


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 29])
def test_any_damage_is_what_callers_of_pillow_catch(described: bytes, stride: int) -> None:
    """UnidentifiedImageError is an OSError; DecompressionBombError they catch as well."""
    caught = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    ends = range(0, len(described), stride)
    damaged = [described[:end] for end in ends]
    damaged += [
        described[:position] + bytes([described[position] ^ 0xA5]) + described[position + 1 :]
        for position in ends
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in damaged:
            for use in (Image.Image.load, Image.Image.verify):
                try:
                    image = Image.open(io.BytesIO(file))
                    if use is Image.Image.verify:
                        image.verify()
                except caught:
                    pass
    for end in (8, 20, len(described) // 2, len(described) - 1):
        with pytest.raises(OSError, match=r"the file|cannot identify"):
            Image.open(io.BytesIO(described[:end])).load()


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_parser_fed_in_pieces(size: int, described: bytes) -> None:
    parser = ImageFile.Parser()
    for start in range(0, len(described), size):
        parser.feed(described[start : start + size])
    image = parser.close()
    assert (image.format, image.mode, image.size) == ("CALOTYPE", "RGBA", (40, 24))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(calotype.decode(described)))
    assert image.info["xmp"] == XMP


def test_parser_that_gets_too_little(described: bytes) -> None:
    parser = ImageFile.Parser()
    parser.feed(described[: len(described) // 2])
    with pytest.raises(OSError, match="the file ends"):
        parser.close()


def test_every_option_of_encoding_is_one_of_save(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS)
    file = io.BytesIO()
    image.save(file, FORMAT, model="tiny", recipe="palette")
    assert read_info(file.getvalue()).coding == "palette"
    for option in ("protect", "recipe"):
        with pytest.raises(ValueError, match=option):
            saved(image, **{option: "nonsense"})
    with pytest.raises(ValueError, match="time_limit"):
        saved(image, time_limit=-1)
    names = {field.name for field in dataclasses.fields(calotype.EncodeOptions)} - set(FAST)
    for name in names - {"quality", "target_size", "bpp", "recipe"}:
        saved(image, **{name: getattr(calotype.EncodeOptions(), name)})


@pytest.mark.parametrize("option", ["qualty", "optimize", "lossless"])
def test_unknown_options_are_refused(option: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.calo"
    with pytest.raises(TypeError, match=f"there is no option {option}"):
        Image.fromarray(COLOURS).save(path, **{option: 50})
    assert not path.exists()


@pytest.fixture(scope="module")
def large() -> bytes:
    return calotype.encode(Image.fromarray(np.kron(COLOURS, np.ones((8, 8, 1), np.uint8))), **FAST)


@pytest.mark.parametrize(
    ("wanted", "reduce"),
    [((40, 24), 8), ((41, 3), 1), ((20, 12), 16), ((21, 12), 8), ((1, 1), 16), ((320, 192), 1)],
)
def test_draft_loads_the_smallest_size_that_is_enough(
    large: bytes, wanted: tuple[int, int], reduce: int
) -> None:
    with Image.open(io.BytesIO(large)) as image:
        draft = image.draft("L", wanted)
        assert image.size == (320 // reduce, 192 // reduce)
        if reduce == 1:
            assert draft is None
            return
        assert draft == ("RGB", (0, 0, 320 / reduce, 192 / reduce))
        assert image.draft(None, (1, 1)) is None
        expected = calotype.decode(large, reduce=reduce)
        assert np.array_equal(np.asarray(image), np.asarray(expected))
        assert image.size == expected.size


def test_draft_after_loading_changes_nothing(large: bytes) -> None:
    with Image.open(io.BytesIO(large)) as image:
        image.load()
        assert image.draft(None, (1, 1)) is None
        assert image.draft(None, None) is None
        assert image.size == (320, 192)


def test_thumbnails_need_no_decoder(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.decoding.pipeline.decode_all", None)
    with Image.open(io.BytesIO(large)) as image:
        image.thumbnail((20, 12))
        assert image.size == (20, 12)
        assert np.asarray(image).shape == (12, 20, 3)
        expected = calotype.decode(large, reduce=8).resize((20, 12), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).max() <= 1
