"""Limits hold for reading and for writing, and are checked before any expensive work."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.container import ChunkType, Header, parse_file, serialise_file
from calotype.decoding import decode_latents
from calotype.entropy.rans import PRECISION, encode_symbols, max_symbol_count
from calotype.entropy.tables import SYMBOLS
from calotype.errors import LimitError, TruncatedError
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, model_id

FAST = {"model": "tiny", "effort": 1}
XMP = b"<x:xmpmeta>" + bytes(range(32, 127)) * 4


@pytest.fixture
def picture() -> Image.Image:
    """24x16 RGBA with EXIF and XMP, its alpha plane of many bytes."""
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (16, 24, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010F] = "M" * 500
    image.info.update(exif=exif.tobytes(), xmp=XMP)
    return image


def chunk_size(data: bytes, name: str) -> int:
    return next(chunk.size for chunk in calotype.read_info(data).chunks if chunk.name == name)


def test_kept_metadata_is_limited_as_a_whole(picture: Image.Image) -> None:
    data = calotype.encode(picture, keep_metadata=True, **FAST)
    total = chunk_size(data, "EXIF") + chunk_size(data, "XMP")
    enough = Limits(max_metadata_bytes=total)
    assert calotype.encode(picture, keep_metadata=True, limits=enough, **FAST) == data
    tight = Limits(max_metadata_bytes=total - 1)
    with pytest.raises(LimitError, match=f"EXIF.*{total}.*at most {total - 1} "):
        calotype.encode(picture, keep_metadata=True, limits=tight, **FAST)
    assert calotype.read_info(calotype.encode(picture, limits=tight, **FAST)).mode == "RGBA"


@pytest.mark.parametrize(("name", "keep"), [("ALPHA", False), ("EXIF", True)])
def test_each_chunk_is_limited(picture: Image.Image, name: str, keep: bool) -> None:
    if name != "ALPHA":
        picture = picture.convert("RGB")
    options = FAST | {"keep_metadata": keep}
    data = calotype.encode(picture, **options)
    size = chunk_size(data, name)
    assert calotype.encode(picture, limits=Limits(max_chunk_bytes=size), **options) == data
    with pytest.raises(LimitError, match=f"{name} holds {size} bytes: at most {size - 1} "):
        calotype.encode(picture, limits=Limits(max_chunk_bytes=size - 1), **options)


def test_a_refusal_comes_before_the_work(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.encoding.pipeline.encode_all", lambda *_: pytest.fail("encoded"))
    with pytest.raises(LimitError):
        calotype.encode(picture, limits=Limits(max_chunk_bytes=10), **FAST)


def test_raised_limits_hold_for_the_encoder_too() -> None:
    image = Image.new("RGB", (8, 8))
    image.info["xmp"] = bytes((1 << 24) + 1)
    with pytest.raises(LimitError, match="16777216"):
        calotype.encode(image, keep_metadata=True, **FAST)
    raised = Limits(max_metadata_bytes=1 << 25)
    data = calotype.encode(image, keep_metadata=True, limits=raised, **FAST)
    assert parse_file(data, limits=raised).chunk(ChunkType.XMP) == image.info["xmp"]
    with pytest.raises(LimitError):
        calotype.decode(data, model="tiny")


def claiming(width: int, height: int, payload: bytes) -> bytes:
    header = Header(
        coding=0,
        space=1,
        context_model=DEFAULT_CONTEXT_MODEL,
        encoder=model_id("tiny"),
        width=width,
        height=height,
        level=56,
    )
    return serialise_file(header, payload, 0)


@pytest.mark.parametrize("size", [0, 1, 5, 11, 601])
def test_a_payload_too_short_for_the_size_claimed_is_refused_at_once(size: int) -> None:
    data = claiming(16_384, 10_000, b"\xff" * size)
    parsed = parse_file(data, limits=Limits())
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(TruncatedError, match=f"{size} bytes, too few for any 10240000 integers"):
            decode_latents(parsed)
        assert time.process_time() - began < 1
        assert tracemalloc.get_traced_memory()[1] < 32_000_000  # the map of levels, no more
    finally:
        tracemalloc.stop()


def test_a_long_payload_of_nothing_fails_when_it_ends() -> None:
    """Far from the end of the picture: its 10 million integers would take minutes."""
    data = claiming(16_384, 10_000, b"\xff" * 5 + np.random.default_rng(1).bytes(2000))
    began = time.process_time()
    with pytest.raises(TruncatedError, match="ends before"):
        calotype.decode(data, model="tiny")
    assert time.process_time() - began < 5


def test_no_conforming_payload_is_too_short() -> None:
    """The cheapest symbols that frequency tables allow still take more bytes than the bound says."""
    freq = (1 << PRECISION) - (SYMBOLS - 1)
    for count in (1, 1000, 20_000, 200_000):
        size = len(encode_symbols([SYMBOLS - 1] * count, [freq] * count))
        assert count <= max_symbol_count(size)
    assert max_symbol_count(size) < 3 * count  # and the bound is not an idle one
    assert max_symbol_count(2) == max_symbol_count(0) == 0


def test_sizes_are_refused_before_allocation() -> None:
    limits = Limits(max_pixels=1 << 40, max_side=1 << 31)
    with pytest.raises(LimitError, match="2147483648x1 pixels: the longest side allowed is 16384"):
        limits.check_size(1 << 31, 1)
    with pytest.raises(LimitError, match="16384x16384"):
        calotype.decode(claiming(16_384, 16_384, b""), model="tiny")
