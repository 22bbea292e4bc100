"""Embedded graphs with 8-bit activations: what they compute, and where they are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.errors import ModelError
from calotype.latents import SD1
from calotype.models import ModelCache, cache, load_decoder, load_encoder
from calotype.models.graph_editor import GraphEditor
from calotype.models.int8_graph import block_activations, int8_ranges, use_int8_activations
from calotype.models.onnx_file import read_graph
from calotype.models.places import CPU
from calotype.models.products import has_exact_int8
from calotype.models.shipped import read_shipped_file
from calotype.models.tiling import pixels_to_unit_range
from calotype.options import DiffusionOptions

INT8 = replace(CPU, dtype="int8")
ENCODER, DECODER = "pocket-240-encoder.onnx", "pocket-240-decoder.onnx"


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    rgb = np.asarray(Image.open(Path(__file__).parents[2] / "samples" / "astronaut.png").convert("RGB"))
    return np.ascontiguousarray(rgb[:96, 192:288])


def rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.square(values).mean()))


@pytest.mark.parametrize("file", [ENCODER, DECODER])
def test_the_ranges_are_those_of_the_shipped_graphs(file: str) -> None:
    """After training run ``python -m scripts.fit_int8_ranges``."""
    ranges = int8_ranges()[file]
    names = {
        name for pair in block_activations(read_graph(read_shipped_file(file))).values() for name in pair
    }
    assert ranges.keys() <= names
    assert all(low <= 0 < high for low, high in ranges.values())


def test_a_converted_graph_multiplies_in_int8() -> None:
    editor = GraphEditor(read_shipped_file(ENCODER))
    use_int8_activations(editor, int8_ranges()[ENCODER])
    graph = read_graph(editor.packed())
    operators = [node.operator for node in graph.nodes]
    assert operators.count("QLinearConv") == 16  # eight blocks at an eighth of the size
    weights = [graph.constants[node.inputs[3]] for node in graph.nodes if node.operator == "QLinearConv"]
    assert {weight.dtype for weight in weights} == {np.dtype(np.int8)}


def test_ranges_of_another_graph_are_refused() -> None:
    with pytest.raises(ModelError, match="no activation nowhere"):
        use_int8_activations(GraphEditor(read_shipped_file(ENCODER)), {"nowhere": (0.0, 1.0)})


@pytest.mark.skipif(not has_exact_int8(), reason="this processor has no exact 8-bit products")
def test_the_difference_is_small_against_what_is_quantised(photo: NDArray[np.uint8]) -> None:
    pixels = pixels_to_unit_range(photo)
    latents = load_encoder("pocket", 1).encode(pixels)
    error = rms(load_encoder("pocket", 1, place=INT8).encode(pixels) - latents)
    assert 0 < error < 0.02  # the default step of 0.35 has an error of 0.1
    inputs = latents, np.full((1, *latents.shape[1:]), -1.5, np.float32), np.zeros(4), latents
    decoded, int8 = (load_decoder("pocket", SD1.id, 1, place=place).decode(*inputs) for place in (CPU, INT8))
    assert 0 < rms(int8 - decoded) < 3 / 255


def test_int8_is_for_the_encoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, str]] = []
    for part in ("encoder", "decoder"):
        monkeypatch.setattr(
            cache,
            f"load_{part}",
            lambda *arguments, part=part, **_: loaded.append((part, arguments[-1].dtype)),
        )
    for exact in (True, False):
        monkeypatch.setattr(cache, "has_exact_int8", lambda exact=exact: exact)
        for dtype in ("auto", "float32"):
            models = ModelCache(1, dtype=dtype)
            models.encoder("pocket", DiffusionOptions())
            models.decoder(None, SD1.id, DiffusionOptions())
            models.analysis_decoder("pocket", SD1.id, DiffusionOptions())
            expected = "int8" if exact and dtype == "auto" else "float32"
            assert loaded[0] == ("encoder", expected)
            assert ("decoder", "float32") in loaded
            assert (("decoder", "int8") in loaded) is (expected == "int8")
            loaded.clear()


@pytest.mark.slow
@pytest.mark.skipif(not has_exact_int8(), reason="this processor has no exact 8-bit products")
def test_files_are_as_good(photo: NDArray[np.uint8]) -> None:
    files = [calotype.Codec(1, dtype=dtype).encode(photo) for dtype in ("float32", "auto")]
    assert abs(len(files[1]) - len(files[0])) < 0.02 * len(files[0])
    errors = [rms(calotype.decode(data, as_array=True) - photo.astype(float)) for data in files]
    assert errors[1] < 1.01 * errors[0]
