"""Machines of other kinds, by what they would hand to the coder: big-endian arrays, inexact products."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import calotype
from calotype.container import parse_file
from calotype.decoding.latents import integers_checksum
from calotype.entropy import network, read_context_model
from calotype.entropy.rans import RansDecoder, encode_symbols
from calotype.limits import Limits
from calotype.models import registry

GOLDEN = Path(__file__).parents[1] / "golden" / "table-241" / "rgb-24x24" / "picture.calo"


class Inexact(np.ndarray[Any, np.dtype[Any]]):
    """An array of a machine whose float32 matrix products are off by one, as with reduced precision."""

    def __matmul__(self, other: Any) -> Any:
        product = np.asarray(self) @ np.asarray(other)
        return product + 1 if product.dtype == np.float32 else product


class InexactGenerator:
    """A random generator that hands out arrays of such a machine."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Inexact:
        return self._rng.integers(low, high, shape).view(Inexact)


def big_endian(data: bytes) -> bytes:
    """An .npz file with every array in big-endian byte order."""
    out = io.BytesIO()
    with np.load(io.BytesIO(data)) as file:
        np.savez(out, **{name: file[name].astype(file[name].dtype.newbyteorder(">")) for name in file.files})
    return out.getvalue()


def test_a_machine_with_inexact_products_computes_in_int64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.random, "default_rng", InexactGenerator)
    assert network.exact_dtype.__wrapped__() is np.int64


def test_such_a_machine_writes_and_reads_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (24, 40, 3), np.uint8)
    data = calotype.encode(photo, model="tiny", quality=40, effort=1)
    pixels = calotype.decode(GOLDEN.read_bytes(), model="tiny", as_array=True)
    module = importlib.import_module("calotype.entropy.coding_pass")
    monkeypatch.setattr(module, "exact_dtype", lambda: np.int64)
    assert calotype.encode(photo, model="tiny", quality=40, effort=1) == data
    np.testing.assert_array_equal(calotype.decode(GOLDEN.read_bytes(), model="tiny", as_array=True), pixels)


def test_coder_words_are_little_endian_whatever_the_machine() -> None:
    starts = [40_000, 0, 60_000] * 5
    data = encode_symbols(starts, [20_000, 40_000, 5_536] * 5)
    decoder = RansDecoder(data)
    words = [int.from_bytes(data[at : at + 2], "little") for at in range(5, len(data), 2)]
    assert words
    assert list(decoder._words) == words


def test_the_checksum_covers_little_endian_integers_whatever_the_machine() -> None:
    parsed = parse_file(GOLDEN.read_bytes(), limits=Limits())
    integers: NDArray[np.int16] = np.arange(-18, 18, dtype=np.int16).reshape(4, 3, 3)
    expected = integers_checksum(parsed.header, integers, parsed.payload)
    assert integers_checksum(parsed.header, integers.astype(">i2"), parsed.payload) == expected


def test_tables_in_either_byte_order_code_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)
    data = calotype.encode(photo, model="tiny", quality=40, effort=1)
    model = read_context_model(big_endian(registry._read_shipped_file("lattice-241.npz")))
    monkeypatch.setattr("calotype.decoding.latents.load_context_model", lambda _: model)
    pixels = calotype.decode(data, model="tiny", as_array=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(calotype.decode(data, model="tiny", as_array=True), pixels)


def test_pictures_in_either_byte_order_are_the_same() -> None:
    photo = np.random.default_rng(4).integers(0, 256, (24, 40, 3), np.uint8)
    data = calotype.encode(photo, model="tiny", quality=40, effort=1)
    assert calotype.encode(photo.astype(">u1"), model="tiny", quality=40, effort=1) == data
