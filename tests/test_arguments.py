"""Arguments of a wrong type or value are refused by their name, before anything is done."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import calotype
from calotype import Codec, DecodeOptions, DiffusionOptions, EncodeOptions, Limits
from calotype.errors import SourceError

BLACK = np.zeros((16, 16, 3), np.uint8)
OPTIONS = (EncodeOptions, DecodeOptions, DiffusionOptions, Limits)
FIELDS = [(kind, field.name) for kind in OPTIONS for field in fields(kind)]


@pytest.fixture(scope="module")
def file() -> bytes:
    return calotype.encode(BLACK, model="tiny", effort=1)


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_every_option_refuses_another_type_by_its_name(kind: type, name: str) -> None:
    for value in ([], object()):
        with pytest.raises(TypeError, match=rf"^{name} \(=.*, of type (list|object)\) must be "):
            kind(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (EncodeOptions, "quality", "50"),
        (EncodeOptions, "quality", True),
        (EncodeOptions, "target_size", "5kB"),
        (EncodeOptions, "target_size", 500.5),
        (EncodeOptions, "effort", "6"),
        (EncodeOptions, "keep_metadata", "no"),
        (EncodeOptions, "protect", None),
        (EncodeOptions, "limits", {"max_pixels": 5}),
        (DecodeOptions, "model", b"pocket"),
        (DiffusionOptions, "device", 0),
        (DiffusionOptions, "denoise", 5.5),
        (Limits, "max_pixels", "5"),
    ],
)
def test_types_that_look_alike(kind: type, name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} "):
        kind(**{name: value})


def test_numbers_of_numpy_and_paths_are_accepted() -> None:
    options = EncodeOptions(
        quality=np.float32(40), effort=np.int64(5), strict=np.bool_(True), lpips=Path("lpips.onnx")
    )
    assert (options.quality, options.effort) == (40, 5)
    assert DiffusionOptions(weights=Path("folder"), denoise=np.int32(3)).denoise == 3


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e308, 0.0, -1.0])
def test_bits_per_pixel_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match=r"^bpp \(="):
        EncodeOptions(bpp=value)
    assert EncodeOptions(bpp=1e6).bpp == 1e6


def test_the_most_bits_per_pixel_make_the_best_file() -> None:
    data = calotype.encode(BLACK, bpp=1e6, model="tiny", effort=1)
    assert (
        calotype.read_info(data).level
        == calotype.read_info(calotype.encode(BLACK, target_size=10**9, model="tiny", effort=1)).level
    )


@pytest.mark.parametrize("device", ["auto:0", "cuda:", "cpu:x", "gpu", "", "cuda:-1", "cuda:0 "])
def test_impossible_devices_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match=r"^device \(="):
        DiffusionOptions(device=device)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda file: calotype.encode(5), "image"),
        (lambda file: calotype.encode(file), "image"),
        (lambda file: calotype.encode(BLACK, {"quality": 5}), "options"),
        (lambda file: calotype.encode(BLACK, DecodeOptions()), "options"),
        (lambda file: calotype.decode(5), "data"),
        (lambda file: calotype.decode(None), "data"),
        (lambda file: calotype.decode(io.StringIO("text")), "data"),
        (lambda file: calotype.decode(file, {"strict": True}), "options"),
        (lambda file: calotype.decode(file, EncodeOptions()), "options"),
        (lambda file: calotype.read_info(5), "data"),
        (lambda file: calotype.read_info(file, 5), "limits"),
        (lambda file: Codec(threads="2"), "threads"),
        (lambda file: list(Codec().encode_many([BLACK], batch="2")), "batch"),
        (lambda file: list(Codec().decode_many(file)), "data"),
    ],
)
def test_functions_refuse_other_types_by_name(
    call: Callable[[bytes], object], name: str, file: bytes
) -> None:
    with pytest.raises(TypeError, match=rf"^{name}\b"):
        call(file)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_positive(threads: int) -> None:
    with pytest.raises(ValueError, match=r"^threads \(="):
        Codec(threads=threads)


def test_a_stream_is_read_from_its_start(file: bytes) -> None:
    """As a picture to encode is."""
    stream = io.BytesIO()
    stream.write(file)
    assert calotype.decode(stream, model="tiny").size == (16, 16)
    assert calotype.read_info(stream).width == 16


def test_a_stream_that_cannot_seek_is_read_from_where_it_is(file: bytes) -> None:
    class Pipe(io.BytesIO):
        def seek(self, *_: object) -> int:
            raise OSError(29, "Illegal seek")

    assert calotype.decode(Pipe(file), model="tiny").size == (16, 16)


def test_an_empty_path_is_no_file() -> None:
    for call in (calotype.encode, calotype.decode, calotype.read_info):
        with pytest.raises(SourceError):
            call("")
