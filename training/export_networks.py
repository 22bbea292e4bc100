"""Stages 4, 7 and 9: converts trained networks of pocket to ONNX with 8-bit weights.

``python training/export_networks.py --part decoder --run pictures --out FOLDER/pocket-240-decoder.onnx``.
The arithmetic is still float32. The weights of a convolution are int8 times a float32 scale for each output
channel; other initialisers are float16. ONNX Runtime folds the casts and products of constants when it loads
the graph.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import onnx
import torch
from loop import weights_of
from nets import Decoder, Encoder, FaceFinder, PostFilter
from onnx import TensorProto, helper, numpy_helper
from rounding import SMALLEST, weight_scale
from torch import nn

from calotype.models.grain import grain_noise


def shrink_weights(model: onnx.ModelProto, part: str) -> onnx.ModelProto:
    """Stores the float32 weights of all but the smallest convolutions as int8 and a scale, others as
    float16.
    """
    graph, nodes = model.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        graph.initializer.remove(tensor)
        if values.ndim == 4 and values.size >= SMALLEST:
            scale = weight_scale(torch.from_numpy(values.copy()), part).numpy()
            small = np.rint(values / scale).astype(np.int8)
            graph.initializer.append(numpy_helper.from_array(scale, name + "_scale"))
            nodes.append(helper.make_node("Cast", [name + "_small"], [name + "_wide"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [name + "_wide", name + "_scale"], [name]))
        else:
            small = values.astype(np.float16)
            nodes.append(helper.make_node("Cast", [name + "_small"], [name], to=TensorProto.FLOAT))
        graph.initializer.append(numpy_helper.from_array(small, name + "_small"))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return model


def export(net: nn.Module, part: str, inputs: dict[str, torch.Tensor], output: str, out: Path) -> None:
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
    model = shrink_weights(onnx.load_from_string(buffer.getvalue()), part)
    model.producer_name, model.producer_version = "calotype", ""
    for node in model.graph.node:
        node.doc_string = ""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(model.SerializeToString())
    print(f"{out}: {out.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("encoder", "decoder", "faces", "post-filter"), required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--grain", type=float, default=1.0, help="factor of the weights of the decoder's noise input"
    )
    args = parser.parse_args()
    nets = {"encoder": Encoder, "decoder": Decoder, "faces": FaceFinder, "post-filter": PostFilter}
    net: nn.Module = nets[args.part]()
    net.load_state_dict(weights_of(args.run, args.part))
    if isinstance(net, Decoder):
        with torch.no_grad():
            net.grain.weight *= args.grain
        inputs = {"latents": torch.zeros(1, 4, 16, 24), "log_step": torch.zeros(1, 1, 16, 24)}
        inputs["conditional_mean"] = torch.zeros(1, 4, 16, 24)
        inputs["grain"] = torch.from_numpy(grain_noise((0, 0), 16, 24))[None]
        export(net, args.part, inputs, "pixels", args.out)
    elif isinstance(net, FaceFinder):
        export(net, args.part, {"latents": torch.zeros(1, 4, 16, 24)}, "odds", args.out)
    elif isinstance(net, PostFilter):
        inputs = {"latents": torch.zeros(1, 4, 16, 24), "log_step": torch.zeros(1, 1, 16, 24)}
        inputs["conditional_mean"] = torch.zeros(1, 4, 16, 24)
        export(net, args.part, inputs, "corrected", args.out)
    else:
        export(net, args.part, {"pixels": torch.zeros(1, 3, 128, 192)}, "latents", args.out)


if __name__ == "__main__":
    main()
