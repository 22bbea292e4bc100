"""Other kinds of machines, emulated by the inputs of the coder: big-endian arrays and inexact products."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import calotype
from calotype.container import parse_file
from calotype.decoding.latents import integers_checksum
from calotype.entropy import ContextModel, Product, read_context_model, reference_product
from calotype.entropy.rans import RansDecoder, encode_symbols
from calotype.errors import FormatError
from calotype.limits import Limits
from calotype.models import products, shipped

GOLDEN = Path(__file__).parents[1] / "golden" / "context-242" / "rgb-24x24" / "picture.calo"


def big_endian(data: bytes) -> bytes:
    """An .npz file with every array in big-endian byte order."""
    out = io.BytesIO()
    with np.load(io.BytesIO(data)) as file:
        np.savez(out, **{name: file[name].astype(file[name].dtype.newbyteorder(">")) for name in file.files})
    return out.getvalue()


def inexact(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float64]:
    """A product of a machine of reduced precision."""
    return reference_product(columns, weight) + 1


@pytest.fixture
def chosen() -> Iterator[Callable[[], Product]]:
    """Chooses the product anew, and again after the test."""
    products._choose_product.cache_clear()
    yield products._choose_product
    products._choose_product.cache_clear()


@pytest.mark.parametrize("saturating", [["SignedWeights"], ["SignedWeights", "UnsignedWeights"]])
def test_a_machine_uses_no_product_that_is_not_exact_on_it(
    saturating: list[str], chosen: Callable[[], Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in saturating:
        monkeypatch.setattr(products, name, lambda: inexact)
    expected = reference_product if len(saturating) == 2 else products.UnsignedWeights
    assert chosen() is expected or type(chosen()) is expected


def test_machines_write_and_read_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (24, 40, 3), np.uint8)
    data = calotype.encode(photo, model="tiny", quality=40, effort=1)
    pixels = calotype.decode(GOLDEN.read_bytes(), model="tiny", as_array=True)
    monkeypatch.setattr(products, "_choose_product", lambda: reference_product)
    assert calotype.encode(photo, model="tiny", quality=40, effort=1) == data
    np.testing.assert_array_equal(calotype.decode(GOLDEN.read_bytes(), model="tiny", as_array=True), pixels)


@pytest.fixture
def multiplications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes the machine's product wrong, and gets which product each multiplication used."""
    used: list[str] = []

    def wrong(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float64]:
        used.append("wrong")
        return inexact(columns, weight)

    def reference(columns: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.float64]:
        used.append("reference")
        return reference_product(columns, weight)

    monkeypatch.setattr(products, "_choose_product", lambda: wrong)
    monkeypatch.setattr("calotype.decoding.latents.reference_product", reference)
    monkeypatch.setattr(ContextModel, "with_reference_product", lambda self: replace(self, product=reference))
    return used


def test_a_product_that_fails_after_its_test_costs_a_second_decode(
    multiplications: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = calotype.decode(GOLDEN.read_bytes(), model="tiny", as_array=True)
    assert "wrong" in multiplications and "reference" in multiplications
    monkeypatch.undo()
    np.testing.assert_array_equal(calotype.decode(GOLDEN.read_bytes(), model="tiny", as_array=True), decoded)


def test_a_failing_product_costs_a_second_decode_of_a_file_in_pieces(multiplications: list[str]) -> None:
    data = GOLDEN.read_bytes()
    arriving = calotype.ProgressiveDecoder(model="tiny")
    for begin in range(0, len(data), 3):
        arriving.feed(data[begin : begin + 3])
    np.testing.assert_array_equal(arriving.picture(), calotype.decode(data, model="tiny"))


def test_a_damaged_file_is_decoded_twice_and_not_more(multiplications: list[str]) -> None:
    data = bytearray(GOLDEN.read_bytes())
    data[parse_file(bytes(data), limits=Limits()).payload_start + 7] ^= 1
    with pytest.raises(FormatError):
        calotype.decode(bytes(data), model="tiny")
    assert 0 < multiplications.count("reference") <= 170


def test_coder_words_are_little_endian_whatever_the_machine() -> None:
    starts = [40_000, 0, 60_000] * 5
    data = encode_symbols(starts, [20_000, 40_000, 5_536] * 5)
    decoder = RansDecoder(data)
    words = [int.from_bytes(data[position : position + 2], "little") for position in range(5, len(data), 2)]
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
    model = read_context_model(big_endian(shipped.read_shipped_file("context-242.npz")))
    monkeypatch.setattr("calotype.decoding.latents.load_context_model", lambda _: model)
    pixels = calotype.decode(data, model="tiny", as_array=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(calotype.decode(data, model="tiny", as_array=True), pixels)


def test_pictures_in_either_byte_order_are_the_same() -> None:
    photo = np.random.default_rng(4).integers(0, 256, (24, 40, 3), np.uint8)
    data = calotype.encode(photo, model="tiny", quality=40, effort=1)
    assert calotype.encode(photo.astype(">u1"), model="tiny", quality=40, effort=1) == data
