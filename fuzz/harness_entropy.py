"""Entropy coding: rANS, frequency tables, context model files, and a whole decode with a small model.

The first byte chooses among ``TARGETS``. What decodes at all must encode to the same bytes again, and must
decode alike with both matrix products.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from common import main, refusals_are_fine, watched

with watched():
    import numpy as np
    from numpy.typing import NDArray

    from calotype.entropy import (
        CodingPass,
        ContextModel,
        Product,
        SymbolEncoder,
        decode_integers,
        read_context_model,
        reference_product,
    )
    from calotype.entropy.rans import PRECISION, RansDecoder, encode_symbols
    from calotype.entropy.tables import FREQUENCY_TOTAL, PHASES, SIGMAS, SYMBOLS, FrequencyTables
    from calotype.errors import CalotypeError
    from calotype.latents import CHANNEL_OFFSETS, STEPS
    from calotype.models import integer_product

__all__ = ["TARGETS", "encoded_integers", "one_input"]

WIDTHS = (2, 2, 2, 2, 2)
SIDE = 20


def _row(weights: bytes) -> list[int]:
    """Cumulative frequencies [0, ..., 2**16] from at least one weight."""
    freqs = [1 + weight * (FREQUENCY_TOTAL - len(weights)) // (sum(weights) or 1) for weight in weights]
    freqs[weights.index(max(weights))] += FREQUENCY_TOTAL - sum(freqs)
    return [sum(freqs[:index]) for index in range(len(freqs) + 1)]


def rans(data: bytes) -> None:
    """A row of up to 7 symbols, then how often raw bits follow, then how many symbols; then the stream."""
    if len(data) < 10:
        return
    row, every, count = _row(data[:7]), data[7] % 17, data[8]
    decoder = RansDecoder(data[9:])
    starts, freqs = [], []
    for symbol in decoder.decode_symbols([row] * count):
        starts.append(row[symbol])
        freqs.append(row[symbol + 1] - row[symbol])
    value = decoder.decode_bits(every)
    starts.append(value << (PRECISION - every))
    freqs.append(1 << (PRECISION - every))
    decoder.finish()
    assert encode_symbols(starts, freqs) == data[9:]


def tables(data: bytes) -> None:
    """Frequencies that are right but for those that ``data`` replaces: index and value, two bytes each."""
    frequencies = _frequencies().ravel()
    edits = np.frombuffer(data[: len(data) // 4 * 4], "<u2").reshape(-1, 2)
    frequencies[edits[:, 0] % frequencies.size] = edits[:, 1]
    tables = FrequencyTables(frequencies.reshape(SIGMAS, PHASES, SYMBOLS))
    assert all(
        row[0] == 0 and row[-1] == FREQUENCY_TOTAL and sorted(set(row)) == row for row in tables.cumulative
    )


def model(data: bytes) -> None:
    """A model file as it comes."""
    read_context_model(data)


def arrays(data: bytes) -> None:
    """A model file whose arrays hold ``data``: widths, and changes of bytes in the three flat arrays."""
    content = _arrays()
    names = ("weight", "multiplier", "bias", "widths")
    for index in range(0, len(data) - 3, 4):
        array = content[names[data[index] % 4]].view(np.uint8)
        array[int.from_bytes(data[index + 1 : index + 3], "little") % array.size] = data[index + 3]
    read_context_model(_file(content))


def integers(data: bytes) -> None:
    """A payload for up to 20x20 positions of levels that go from ``data[2]`` to ``data[3]``."""
    if len(data) < 4:
        return
    height, width = (1 + side % SIDE for side in data[:2])
    ends = data[2] % 128, data[3] % 128
    levels = _levels(height, width, *ends)
    payload = data[4:]
    results = [_decoded(payload, levels, product) for product in (integer_product, reference_product)]
    if isinstance(results[0], CalotypeError) or isinstance(results[1], CalotypeError):
        assert (type(results[0]), str(results[0])) == (type(results[1]), str(results[1]))
        raise results[0]
    assert np.array_equal(*results)
    assert _encoded(results[0], levels) == payload


def _decoded(
    payload: bytes, levels: NDArray[np.int64], product: Product
) -> NDArray[np.int16] | CalotypeError:
    try:
        return decode_integers(
            replace(_model(), product=product), payload, levels, STEPS, CHANNEL_OFFSETS
        ).integers
    except CalotypeError as error:
        return error


def encoded_integers(chosen: NDArray[np.int16], first: int, last: int) -> bytes:
    """The payload of int16[4, h, w] under levels that go from ``first`` to ``last``."""
    return _encoded(chosen, _levels(*chosen.shape[1:], first, last))


def _levels(height: int, width: int, first: int, last: int) -> NDArray[np.int64]:
    """int64[h, w]"""
    index = np.arange(height * width, dtype=np.int64).reshape(height, width)
    return first + index * (last - first) // max(height * width - 1, 1)


def _encoded(chosen: NDArray[np.int16], levels: NDArray[np.int64]) -> bytes:
    stream = SymbolEncoder(_model().tables)

    coding = CodingPass(_model(), levels, STEPS, CHANNEL_OFFSETS)
    while (prediction := coding.prediction) is not None:
        values = chosen[prediction.channel, prediction.rows, prediction.columns].ravel().astype(np.int64)
        stream.encode(values, prediction)
        coding.advance(values)
    return stream.finish()


def _frequencies() -> NDArray[np.uint16]:
    """One peak for all contexts: every symbol twice as probable as the one further out, down to 1."""
    distance = np.abs(np.arange(SYMBOLS) - SYMBOLS // 2)
    row = np.maximum(1 << 14 >> distance, 1)
    row[SYMBOLS // 2] += FREQUENCY_TOTAL - row.sum()
    return np.tile(row.astype(np.uint16), (SIGMAS, PHASES, 1))


def _arrays() -> dict[str, NDArray[np.generic]]:
    """The arrays of a small model file: numbers without a pattern, the same on every machine."""
    outputs, weights = 0, 0
    for known, width in [(0, WIDTHS[0]), *((known, width) for width in WIDTHS[1:4] for known in (1, 2, 3))]:
        head = WIDTHS[4]
        shapes = [(width, 9 * (4 * known + 2)), *[(width, 9 * width)] * (4 if known else 0)]
        for channel in range(4):
            shapes += [(head, 9 * (width + channel)), (head, head), (2, head)]
        outputs += sum(out for out, _ in shapes)
        weights += sum(out * fan_in for out, fan_in in shapes)
    mixed = np.arange(weights + 2 * outputs, dtype=np.int64) * 48_271 % 65_521
    return {
        "widths": np.array(WIDTHS, np.int64),
        "weight": (mixed[:weights] % 255 - 127).astype(np.int8),
        "multiplier": (60 + mixed[weights : weights + outputs] % 400).astype(np.int32),
        "bias": (mixed[weights + outputs :] - 20_000) * 64,
        "frequencies": _frequencies(),
    }


def _file(content: dict[str, NDArray[np.generic]]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **content)
    return out.getvalue()


@cache
def _model() -> ContextModel:
    return read_context_model(_file(_arrays()))


TARGETS: tuple[Callable[[bytes], None], ...] = (rans, tables, model, arrays, integers)


@refusals_are_fine
def one_input(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


if __name__ == "__main__":
    main(one_input)
