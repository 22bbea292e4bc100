"""Metadata and options through the Pillow plugin."""

import io

import numpy as np
import pytest
from icc_profiles import ADOBE_RGB, rgb_profile
from picture_files import tiff
from PIL import Image
from pillow_samples import COLOURS, FAST, SRGB, XMP, exif, file_with_metadata, kept, saved

import calotype
from calotype.container import Chunk, ChunkType, parse_file, serialise_file
from calotype.errors import (
    CalotypeWarning,
)
from calotype.imaging import Metadata
from calotype.limits import Limits
from calotype.pillow_plugin import FORMAT

pytestmark = pytest.mark.usefixtures("registered_plugin")


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
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "JPEG", exif=exif(6))
    for options in ({}, {"exif": exif(6)}, {"keep_metadata": True}, {"xmp": XMP}):
        assert Image.open(io.BytesIO(saved(Image.open(file), **options))).size == (24, 40)
    assert Image.open(io.BytesIO(saved(Image.open(file), exif=exif(1)))).size == (40, 24)
    image = Image.fromarray(COLOURS)
    assert Image.open(io.BytesIO(saved(image, exif=exif(6)))).size == (24, 40)
    assert image.size == (40, 24)


def test_an_image_turned_by_hand_is_not_turned_again() -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "JPEG", exif=exif(6))
    turned = Image.open(file).rotate(-90, expand=True)
    for options in ({}, {"keep_metadata": True}, {"icc_profile": SRGB}):
        assert Image.open(io.BytesIO(saved(turned, **options))).size == (24, 40)
    # Given by name, EXIF is about the pixels as they are, as in Pillow's own writers.
    assert Image.open(io.BytesIO(saved(turned, exif=exif(6)))).size == (40, 24)


def test_an_opened_file_has_its_exif() -> None:
    image = Image.open(io.BytesIO(saved(Image.fromarray(COLOURS), exif=exif())))
    assert image.getexif()[271] == "Talbot"
    assert image.info["exif"] == exif().tobytes()


@pytest.fixture(scope="module")
def described() -> bytes:
    return file_with_metadata()


def test_metadata_is_known_when_a_file_is_opened(described: bytes) -> None:
    image = Image.open(io.BytesIO(described))
    expected = {"exif": exif().tobytes(), "icc_profile": SRGB, "xmp": XMP}
    assert image.info == expected
    assert image.getexif()[271] == "Talbot"
    assert image._im is None  # and yet it is not loaded
    image.load()
    assert image.info == expected


def test_what_is_changed_in_info_before_loading_stays_so(described: bytes) -> None:
    image = Image.open(io.BytesIO(described))
    del image.info["exif"]
    image.load()
    assert "exif" not in image.info


def test_the_idiom_of_pillows_handbook_keeps_the_colours() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.2)
    flat = Image.new("RGB", (80, 80), (150, 90, 90))
    stored = io.BytesIO()
    flat.save(stored, FORMAT, icc_profile=profile)
    image = Image.open(stored)
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=image.info.get("icc_profile"))
    before = np.full((1, 1, 3), (150, 90, 90), np.uint8)
    after = np.asarray(Image.open(file))
    assert Image.open(file).info["icc_profile"] == profile
    assert np.abs(after.astype(int) - before).mean() < 4


def test_a_profile_that_cannot_be_used_is_not_in_info() -> None:
    parsed = parse_file(calotype.encode(COLOURS, **FAST), limits=Limits())
    data = serialise_file(parsed.header, parsed.payload, parsed.checksum, [Chunk(ChunkType.ICC, b"junk")])
    image = Image.open(io.BytesIO(data))
    assert image.info == {}
    with pytest.warns(CalotypeWarning, match="ICC profile is left out"):
        image.load()
    assert image.info == {}


def test_damaged_metadata_is_left_out(described: bytes) -> None:
    damaged = bytearray(described)
    damaged[damaged.index(b"Talbot")] ^= 1
    image = Image.open(io.BytesIO(damaged))
    assert set(image.info) == {"icc_profile", "xmp"}
    with pytest.warns(CalotypeWarning, match="EXIF"):
        image.load()


@pytest.mark.parametrize("nothing", [None, b""])
def test_metadata_that_is_not_to_be_kept(nothing: bytes | None) -> None:
    image = Image.fromarray(COLOURS)
    image.info = {"exif": exif().tobytes(), "icc_profile": SRGB, "xmp": XMP}
    assert kept(saved(image, exif=nothing)) == Metadata()
    everything_else = kept(saved(image, exif=nothing, keep_metadata=True))
    assert everything_else == Metadata(SRGB, None, XMP)


def test_the_pixels_of_a_tiff_file_are_understood_with_metadata_too() -> None:
    ramp = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (80, 1))
    file = tiff(ramp, 0, 16)
    for options in ({}, {"xmp": XMP}):
        stored = io.BytesIO()
        Image.open(file).save(stored, FORMAT, effort=1, **options)
        shown = np.asarray(Image.open(stored))
        assert shown[:, :8].mean() > shown[:, -8:].mean() + 20
