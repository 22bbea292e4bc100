"""Stage 4b: trained pocket networks to ONNX with fp16 weights.

``python training/export_networks.py --part decoder --run decoder --out FOLDER/pocket-240-decoder.onnx``.
The arithmetic stays fp32: each fp16 initialiser is followed by a Cast, folded when the graph is loaded.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import onnx
import torch
from loop import RUNS
from nets import Decoder, Encoder
from onnx import TensorProto, helper, numpy_helper
from torch import nn


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores float32 initialisers as float16 behind Cast nodes."""
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, name + "_f16"))
            casts.append(helper.make_node("Cast", [name + "_f16"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return model


def export(net: nn.Module, inputs: dict[str, torch.Tensor], output: str, out: Path) -> None:
    """Traces ``net`` with free height and width and writes it."""
    buffer = io.BytesIO()
    axes = {name: {2: f"{name}_h", 3: f"{name}_w"} for name in [*inputs, output]}
    torch.onnx.export(
        net.eval().float(),
        tuple(inputs.values()),
        buffer,
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    model = halve_weights(onnx.load_from_string(buffer.getvalue()))
    model.producer_name, model.producer_version = "calotype", ""
    for node in model.graph.node:
        node.doc_string = ""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(model.SerializeToString())
    print(f"{out}: {out.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("encoder", "decoder"), required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    net: nn.Module = Decoder() if args.part == "decoder" else Encoder()
    net.load_state_dict(torch.load(RUNS / args.run / "last.pt", weights_only=True)["average"])
    if args.part == "decoder":
        inputs = {"latents": torch.zeros(1, 4, 16, 24), "log_step": torch.zeros(1, 1, 16, 24)}
        export(net, inputs, "pixels", args.out)
    else:
        export(net, {"pixels": torch.zeros(1, 3, 128, 192)}, "latents", args.out)


if __name__ == "__main__":
    main()
