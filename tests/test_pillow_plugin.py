from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

import calotype
from calotype import CalotypeError, read_info, register_pillow
from calotype.errors import ChecksumError, LimitError, ModelError, SourceError, TruncatedError
from calotype.imaging import Metadata, load_picture
from calotype.limits import Limits
from calotype.pillow_plugin import FORMAT, CalotypeImageFile

COLOURS = np.random.default_rng(2).integers(0, 256, (24, 40, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta>harbour</x:xmpmeta>"
FAST = {"model": "tiny", "effort": 1}


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[271] = "Talbot"
    tags[274] = orientation
    return tags


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register_pillow()
    yield
    for registry in (Image.OPEN, Image.SAVE, Image.MIME):
        registry.pop(FORMAT, None)
    Image.EXTENSION.pop(".calo", None)
    Image.ID.remove(FORMAT)


@pytest.fixture(scope="module")
def data() -> bytes:
    return calotype.encode(Image.fromarray(COLOURS), **FAST)


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, FORMAT, **FAST, **options)
    return file.getvalue()


def kept(data: bytes) -> Metadata:
    image = calotype.decode(data, model="tiny")
    return load_picture(image, limits=Limits(), strict=True).metadata


def test_open_and_save(tmp_path: Path) -> None:
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


def test_files_are_closed(data: bytes, tmp_path: Path) -> None:
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


def test_damaged_files(data: bytes) -> None:
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


def test_verify(data: bytes) -> None:
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


def test_metadata_is_dropped_unless_asked_for() -> None:
    image = Image.fromarray(COLOURS)
    image.info = {"exif": exif().tobytes(), "icc_profile": SRGB, "xmp": XMP}
    assert kept(saved(image)) == Metadata()
    everything = kept(saved(image, keep_metadata=True))
    assert everything == Metadata(SRGB, exif().tobytes().removeprefix(b"Exif\0\0"), XMP)


@pytest.mark.parametrize("name", ["exif", "icc_profile", "xmp"])
def test_metadata_by_name(name: str) -> None:
    given = {"exif": exif(), "icc_profile": SRGB, "xmp": XMP}
    image = Image.fromarray(COLOURS)
    image.info = {"icc_profile": SRGB, "xmp": b"other", "exif": b"other"} | {name: b"other"}
    if name == "xmp":
        image.info["exif"] = exif().tobytes()
    metadata = kept(saved(image, **{name: given[name]}))
    assert (metadata.exif is not None) == (name == "exif")
    assert metadata.icc == (SRGB if name == "icc_profile" else None)
    assert metadata.xmp == (XMP if name == "xmp" else None)


def test_orientation_is_applied_once() -> None:
    image = Image.fromarray(COLOURS)
    image.info["exif"] = exif(6).tobytes()
    for options in ({}, {"exif": exif(6)}, {"keep_metadata": True}, {"xmp": XMP}):
        assert Image.open(io.BytesIO(saved(image, **options))).size == (24, 40)
    image.info.clear()
    assert Image.open(io.BytesIO(saved(image, exif=exif(6)))).size == (24, 40)


def test_exif_of_an_open_file() -> None:
    image = Image.open(io.BytesIO(saved(Image.fromarray(COLOURS), exif=exif())))
    assert image.getexif()[271] == "Talbot"
    assert image.info["exif"] == exif().tobytes()


def test_strict_and_limits() -> None:
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
