"""Rewritten graphs: crops within decoders, and the layout that ONNX Runtime keeps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.errors import ModelError
from calotype.latents import SD1
from calotype.models import load_decoder, load_encoder
from calotype.models.crops import Crop, add_crops, crop_inputs
from calotype.models.features import with_outputs
from calotype.models.grain import grain_noise
from calotype.models.graph_editor import GraphEditor
from calotype.models.graph_layout import keep_blocks_after_depth_to_space, merge_space_to_depth
from calotype.models.onnx_file import Node, read_graph
from calotype.models.onnx_session import OnnxSession
from calotype.models.registry import embedded_model
from calotype.models.shipped import read_shipped_file
from calotype.models.windows import Area, whole_area

POCKET = embedded_model("pocket")
NO_NOISE = np.zeros(SD1.channels)


def decoder_arrays(height: int, width: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    latents = rng.standard_normal((4, height, width)).astype(np.float32)
    log_step = np.full((1, height, width), -1.5, np.float32)
    return {"latents": latents, "log_step": log_step, "conditional_mean": latents / 2}


def decoder_with_crops() -> tuple[GraphEditor, tuple[Crop, ...]]:
    editor = GraphEditor(read_shipped_file(POCKET.decoder.file))
    return editor, add_crops(editor)


def test_each_stage_of_the_decoder_is_cropped_once() -> None:
    _, crops = decoder_with_crops()
    assert [crop.scale for crop in crops] == [2, 4]
    margins = [POCKET.decoder.margin, *(crop.margin for crop in crops)]
    assert sorted(margins, reverse=True) == margins and margins[-1] > 0
    assert [crop.inputs for crop in crops] == [frozenset(), {"grain"}]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ((slice(10, 14), slice(0, 3)), (slice(7, 17), slice(0, 6))),
        ((slice(0, 30), slice(0, 20)), (slice(0, 30), slice(0, 20))),
        ((slice(28, 30), slice(19, 20)), (slice(25, 30), slice(16, 20))),
    ],
)
def test_a_crop_keeps_its_margin_within_the_window(wanted: Area, kept: Area) -> None:
    assert Crop("x", 4, 3).area(wanted, (30, 20)) == kept


def test_the_bounds_of_a_crop_count_from_the_crop_before() -> None:
    crops = Crop("a", 2, 7), Crop("b", 4, 3)
    inputs = crop_inputs(crops, (slice(20, 24), slice(2, 5)), (40, 40))
    assert {name: bounds.tolist() for name, bounds in inputs.items()} == {
        "a_starts": [26, 0],
        "a_ends": [62, 24],
        "b_starts": [16, 0],
        "b_ends": [56, 32],
    }


def test_a_stage_computes_what_the_wanted_pixels_depend_on() -> None:
    editor, crops = decoder_with_crops()
    names = ["/at_quarter/at_quarter.3/Add_output_0", "/at_half/at_half.3/Add_output_0"]
    session = OnnxSession(with_outputs(editor.packed(), names), 1)
    wanted = slice(20, 22), slice(1, 2)
    bounds: dict[str, Any] = crop_inputs(crops, wanted, (40, 40))
    rows, columns = crops[-1].area(wanted, (40, 40))
    grain = grain_noise((rows.start, columns.start), rows.stop - rows.start, columns.stop - columns.start)
    shapes = [
        part.shape[1:] for part in session.run_named(names, **decoder_arrays(40, 40), grain=grain, **bounds)
    ]
    quarter, half = (crop.margin for crop in crops)
    assert shapes == [(2 * (2 + 2 * quarter), 2 * (2 + quarter)), (4 * (2 + 2 * half), 4 * (2 + half))]


def test_pixels_of_a_part_are_those_of_the_whole() -> None:
    decoder = load_decoder("pocket", SD1.id, 1)
    arrays = decoder_arrays(23, 18)  # an odd side is made even
    inputs = arrays["latents"], arrays["log_step"], NO_NOISE, arrays["conditional_mean"], (4, 6)
    whole = decoder.decode(*inputs)
    assert whole.shape == (3, 8 * 23, 8 * 18)
    for rows, columns in ((slice(0, 1), slice(17, 18)), (slice(9, 14), slice(3, 9)), whole_area(23, 18)):
        part = decoder.decode(*inputs, part=(rows, columns))
        expected = whole[:, 8 * rows.start : 8 * rows.stop, 8 * columns.start : 8 * columns.stop]
        assert part.shape == expected.shape
        assert np.abs(part - expected).max() < 1e-5


def test_a_graph_without_stages_has_no_crops() -> None:
    editor = GraphEditor(read_shipped_file(embedded_model("tiny").decoder.file))
    before = editor.packed()
    assert add_crops(editor) == ()
    assert editor.packed() == before


def test_the_layout_changes_no_result() -> None:
    arrays = decoder_arrays(16, 16)
    shipped = OnnxSession(read_shipped_file(POCKET.decoder.file), 1)
    expected = shipped.run(**arrays, grain=grain_noise((0, 0), 16, 16))
    decoder = load_decoder("pocket", SD1.id, 1)
    decoded = decoder.decode(arrays["latents"], arrays["log_step"], NO_NOISE, arrays["conditional_mean"])
    assert np.abs(decoded - expected).max() < 1e-5
    pixels = np.random.default_rng(6).random((3, 64, 64), np.float32)
    latents = OnnxSession(read_shipped_file(POCKET.encoder.file), 1).run(pixels=pixels)
    assert np.abs(load_encoder("pocket", 1).encode(pixels) - latents).max() < 1e-4


def test_pixels_do_not_move_to_channels_before_a_convolution() -> None:
    editor = GraphEditor(read_shipped_file(POCKET.encoder.file))
    before = Counter(node.operator for node in editor.graph.nodes)
    merge_space_to_depth(editor)
    after = Counter(node.operator for node in read_graph(editor.packed()).nodes)
    assert (before["Transpose"], after["Transpose"]) == (3, 1)  # The first convolution has 3x3 positions.
    strides = [node.attributes.get("strides") for node in editor.graph.nodes if node.operator == "Conv"]
    assert strides.count((2, 2)) == 2


def test_channels_become_blocks_again_after_they_moved_to_positions() -> None:
    editor = GraphEditor(read_shipped_file(POCKET.decoder.file))
    keep_blocks_after_depth_to_space(editor)
    users = {name: node for node in editor.graph.nodes for name in node.inputs}
    following = [users[node.outputs[0]] for node in editor.graph.nodes if node.operator == "DepthToSpace"]
    assert [node.attributes.get("group") for node in following] == [192, 96, 48, None]  # 3 are no block


def test_nodes_that_no_output_needs_are_removed() -> None:
    editor = GraphEditor(read_shipped_file(POCKET.encoder.file))
    last = editor.graph.nodes[-1]
    unused = Node("Relu", last.inputs[:1], ("unused",), {})
    editor.replace_nodes([*editor.graph.nodes[:-1], unused, last])
    assert unused not in editor.graph.nodes and editor.graph.nodes[-1] is last


def test_what_is_no_graph_is_refused() -> None:
    for data in (b"", b"\x08\x08", b"not a graph"):
        with pytest.raises(ModelError, match="not an ONNX graph"):
            GraphEditor(data)
