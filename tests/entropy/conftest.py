from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.entropy import ContextModel, read_context_model

WIDTHS = (4, 6, 6, 8, 5)


def layer_shapes() -> list[tuple[int, int, int]]:
    """(outputs, inputs, size) of every layer of a model with ``WIDTHS``, in file order."""
    *trunks, head = WIDTHS
    sites = [(0, trunks[0])] + [(known, width) for width in trunks[1:] for known in (1, 2, 3)]
    shapes = []
    for known, width in sites:
        shapes.append((width, 4 * known + 2, 3))
        shapes += [(width, width, 3)] * (4 if known else 0)
        for channel in range(4):
            shapes += [(head, width + channel, 3), (head, head, 1), (2, head, 1)]
    return shapes


def model_arrays(seed: int = 7) -> dict[str, NDArray]:
    """A random but valid model file, as arrays."""
    rng = np.random.default_rng(seed)
    shapes = layer_shapes()
    weight = [rng.integers(-127, 128, o * i * k * k) for o, i, k in shapes]
    multiplier = [rng.integers(60, 400, o) for o, _, _ in shapes]
    bias = [rng.integers(-(1 << 21), 1 << 23, o) for o, _, _ in shapes]
    density = rng.random((49, 16, 42)) ** 4 + 1e-4
    frequencies = 1 + np.floor(density / density.sum(-1, keepdims=True) * (65536 - 42)).astype(np.int64)
    frequencies[..., 20] += 65536 - frequencies.sum(-1)
    return {
        "widths": np.array(WIDTHS),
        "weight": np.concatenate(weight).astype(np.int8),
        "multiplier": np.concatenate(multiplier).astype(np.int32),
        "bias": np.concatenate(bias),
        "frequencies": frequencies.astype(np.uint16),
    }


def model_file(arrays: dict[str, NDArray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


@pytest.fixture(scope="session")
def small_model() -> ContextModel:
    return read_context_model(model_file(model_arrays()))
