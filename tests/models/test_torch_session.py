"""The embedded networks through torch, on the CPU in place of a GPU: the same pictures and graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.errors import ModelError
from calotype.latents import SD1
from calotype.models import DecoderInput, cache, load_decoder, load_encoder, load_post_filter, model_id
from calotype.models.onnx_file import read_graph
from calotype.models.onnx_torch import TorchGraph
from calotype.models.places import Place
from calotype.models.registry import FACE_FINDER
from calotype.models.shipped import read_shipped_file
from calotype.models.tiling import decode_all, encode_all, encode_tiled
from calotype.models.torch_session import TorchSession

ROOT = Path(__file__).parents[2]
# Root mean square and peak of the difference to ONNX Runtime's pixels, as docs/guide.md states them.
TOLERANCES = {"float32": (0.2, 1), "float16": (0.5, 3), "bfloat16": (1.0, 6)}
PLACES = {dtype: Place("torch", "cpu", dtype) for dtype in TOLERANCES}


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    rgb = np.asarray(Image.open(ROOT / "samples" / "astronaut.png").convert("RGB"))
    return np.ascontiguousarray(rgb[:72, 128:264])


def test_the_post_filter_is_the_same_in_torch() -> None:
    post_filter = load_post_filter(model_id("pocket"), 1)
    assert post_filter is not None
    latents = np.random.default_rng(0).normal(size=(4, 13, 10)).astype(np.float32)
    log_step, means = np.full((1, 13, 10), -1.5, np.float32), latents + np.float32(0.1)
    passed_on: list[torch.Tensor] = []

    class Decoder:
        margin, wants_conditional_mean = 20, True

        def __call__(self, *inputs: object) -> torch.Tensor:
            passed_on.append(inputs[2])  # type: ignore[arg-type]
            return torch.zeros(1)

    decoder = post_filter.differentiable(Decoder())  # type: ignore[arg-type]
    assert decoder.margin == 32 and decoder.wants_conditional_mean
    inputs = [torch.from_numpy(plane[None]).requires_grad_() for plane in (latents, log_step, means)]
    decoder(*inputs)
    np.testing.assert_allclose(
        passed_on[0][0].detach().numpy(), post_filter(latents, log_step, means), atol=1e-5
    )
    passed_on[0].sum().backward()
    assert inputs[2].grad is not None and inputs[2].grad.abs().min() > 0


def codec_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> calotype.Codec:
    monkeypatch.setattr(cache, "choose_place", lambda *_: place)
    return calotype.Codec()


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_pixels_are_within_the_tolerance(
    dtype: str, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = calotype.encode(photo, quality=40)
    codec = codec_at(PLACES[dtype], monkeypatch)
    assert codec.place == f"cpu (torch, {dtype})"
    difference = codec.decode(data, as_array=True).astype(float) - calotype.decode(data, as_array=True)
    rmse, peak = TOLERANCES[dtype]
    assert np.sqrt((difference**2).mean()) <= rmse and np.abs(difference).max() <= peak


@pytest.mark.slow
def test_its_files_keep_their_size_and_open_everywhere(
    photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = codec_at(PLACES["float32"], monkeypatch).encode(photo, target_size=500)
    assert 480 <= len(data) <= 500
    assert calotype.decode(data).size == (136, 72)


@pytest.mark.slow
def test_batches_equal_single_pictures(photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder("pocket", place=PLACES["float32"])
    pictures = [photo, photo[::-1].copy(), photo[:40, :40].copy()]
    for latents, rgb in zip(encode_all(encoder, pictures, [0, 0, 1]), pictures, strict=True):
        alone = encode_tiled(encoder, rgb, 1 if rgb.shape[0] == 40 else 0)
        assert np.abs(latents - alone).max() < 1e-4
    codec = codec_at(PLACES["float32"], monkeypatch)
    files = [calotype.encode(rgb, quality=40) for rgb in pictures]
    for image, data in zip(codec.decode_many(files), files, strict=True):
        alone = calotype.decode(data, as_array=True)
        assert np.abs(np.asarray(image).astype(int) - alone).max() <= 1


def test_a_result_that_overflows_is_refused() -> None:
    session = TorchSession(read_shipped_file("tiny-250-encoder.onnx"), PLACES["float16"])
    with pytest.raises(ModelError, match="float16 overflows in the embedded model: use --dtype float32"):
        session.run(pixels=np.full((3, 8, 8), 1e9, np.float32))


@pytest.mark.parametrize("file", ["tiny-250-decoder.onnx", "pocket-240-encoder.onnx", FACE_FINDER.file])
def test_graphs_are_read_as_the_onnx_package_reads_them(file: str) -> None:
    data = read_shipped_file(file)
    expected, graph = onnx.load_from_string(data).graph, read_graph(data)
    assert [node.operator for node in graph.nodes] == [node.op_type for node in expected.node]
    assert [node.inputs for node in graph.nodes] == [tuple(node.input) for node in expected.node]
    assert graph.outputs == tuple(value.name for value in expected.output)
    for tensor in expected.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        assert graph.constants[tensor.name].dtype == array.dtype
        assert np.array_equal(graph.constants[tensor.name], array)
    for node, wanted in zip(graph.nodes, expected.node, strict=True):
        for attribute in wanted.attribute:
            value, found = onnx.helper.get_attribute_value(attribute), node.attributes[attribute.name]
            if isinstance(value, onnx.TensorProto):
                assert np.array_equal(found, onnx.numpy_helper.to_array(value))
            elif isinstance(value, bytes):
                assert found == value.decode()
            else:
                assert found == (tuple(value) if attribute.ints else value)


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "INT64", "INT32", "UINT8", "BOOL"])
def test_tensors_without_raw_bytes_are_read(kind: str) -> None:
    values = [1, 0, 1] if kind == "BOOL" else [1, 0, 200] if kind == "UINT8" else [-1, 0, 3]
    tensor = onnx.helper.make_tensor("t", getattr(onnx.TensorProto, kind), [3, 1], values)
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    found = read_graph(onnx.helper.make_model(graph).SerializeToString()).constants["t"]
    assert np.array_equal(found, onnx.numpy_helper.to_array(tensor)) and found.shape == (3, 1)


def test_damaged_graphs_are_refused() -> None:
    data = read_shipped_file("tiny-250-encoder.onnx")
    rng = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
        for position in rng.integers(0, len(damaged), 3):
            damaged[position] = rng.integers(256)
        try:
            read_graph(bytes(damaged))
        except ModelError as error:
            assert str(error).startswith("not an ONNX graph")


def test_graphs_that_need_other_files_are_refused() -> None:
    tensor = onnx.TensorProto(name="t", data_type=onnx.TensorProto.FLOAT, dims=[1 << 20])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))
    with pytest.raises(ModelError, match="its tensors are in other files"):
        read_graph(model.SerializeToString())


def test_a_tensor_that_is_marked_as_in_its_own_file_is_read() -> None:
    tensor = onnx.numpy_helper.from_array(np.arange(3, dtype=np.float32), "t")
    tensor.data_location = onnx.TensorProto.DEFAULT
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))
    assert b"\x70\x00" in model.SerializeToString()  # the field is written
    assert read_graph(model.SerializeToString()).constants["t"].tolist() == [0, 1, 2]


def test_activations_within_a_graph() -> None:
    """Of two nodes in a row the first is the activation; the second is not computed."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [2]) for name in "xz"]
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Sub", ["y", "absent"], ["z"])]
    data = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])).SerializeToString()
    (activation,) = TorchGraph(data, ["y"]).activations(x=torch.tensor([-1.0, 2.0]))
    assert activation.tolist() == [0, 2]
    with pytest.raises(ModelError, match="no activations w"):
        TorchGraph(data, ["w"])


@pytest.mark.slow
def test_decoders_take_odd_sizes_together() -> None:
    decoder = load_decoder("pocket", SD1.id, place=PLACES["float32"])
    data = calotype.encode(np.zeros((24, 40, 3), np.uint8) + np.uint8(90), effort=1)
    inputs = calotype.read_latents(data)
    assert inputs.shape == (4, 3, 5)
    one = DecoderInput(inputs, np.full((1, 3, 5), -1, np.float32), np.zeros(4), inputs)
    (first, second) = decode_all(decoder, [one, one])
    assert first.shape == (24, 40, 3) and np.array_equal(first, second)
