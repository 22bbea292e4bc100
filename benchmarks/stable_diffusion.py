"""Seconds and memory of Stable Diffusion at its real size: ``python -m benchmarks.stable_diffusion``.

The architectures are the real ones (autoencoder of 83.7 M weights, U-Net of 860 M) and the weights are
random: times, memory and the seams of tiles are valid, the pictures are not. The pipeline is written once to
a temporary folder (2.1 GB in bfloat16) and loaded by the code that users run. Every measurement runs in a
fresh process. ``--weights`` measures real weights instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import ROOT
from calotype.latents import SD1
from calotype.models.stable_diffusion import fetched_model
from calotype.models.stable_diffusion.model import OVERLAP
from calotype.models.stable_diffusion.store import WeightsLocation
from calotype.models.stable_diffusion.tiles import DiffusionTiler
from calotype.models.stable_diffusion.weights import read_config

__all__ = ["CASES", "Case", "main", "table", "write_random_pipeline"]


@dataclass(frozen=True)
class Case:
    """One measurement.

    ``part`` is "encode", "decode" or "denoise". ``side`` is that of the square picture, and ``tile`` that of
    a tile, in pixels.
    """

    part: str
    dtype: str
    side: int
    tile: int


CASES = (
    *(
        Case(part, dtype, 512, 512)
        for dtype in ("float32", "bfloat16")
        for part in ("encode", "decode", "denoise")
    ),
    *(Case(part, "bfloat16", 512, 256) for part in ("encode", "decode", "denoise")),
)


def write_random_pipeline(folder: Path) -> Path:
    """Writes a pipeline of the real architecture with random weights in bfloat16, and returns its folder."""
    import diffusers
    import torch
    from safetensors.torch import save_file

    source = fetched_model("sd-1.5")
    if source is None:
        raise LookupError("sd-1.5")
    generator = torch.Generator().manual_seed(0)

    def random(shape: Sequence[int], name: str) -> torch.Tensor:
        if len(shape) == 1:
            return torch.full(
                tuple(shape), float("norm" in name and name.endswith("weight")), dtype=torch.bfloat16
            )
        scale = (torch.Size(shape[1:]).numel()) ** -0.5
        return (torch.randn(tuple(shape), generator=generator) * scale).to(torch.bfloat16)

    for part in source.parts:
        (folder / part.name).mkdir(parents=True, exist_ok=True)
        config = read_config(WeightsLocation(Path(__file__)), source, part)
        (folder / part.name / part.config).write_text(json.dumps(config))
        if "_class_name" in config:
            with torch.device("meta"):
                network = getattr(diffusers, config["_class_name"]).from_config(config)
            shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        elif part.weights:
            shapes = _text_shapes(config)
        else:
            continue
        tensors = {name: random(shape, name) for name, shape in shapes.items()}
        save_file(tensors, folder / part.name / part.weights)
    return folder


def _text_shapes(config: dict[str, int]) -> dict[str, Sequence[int]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, Sequence[int]] = {
        "embeddings.token_embedding.weight": (config["vocab_size"], width),
        "embeddings.position_embedding.weight": (config["max_position_embeddings"], width),
        "final_layer_norm.weight": (width,),
        "final_layer_norm.bias": (width,),
    }
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layers.{layer}"
        linear = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
        linear |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
        for part, shape in linear.items():
            shapes[f"{name}.{part}.weight"], shapes[f"{name}.{part}.bias"] = shape, shape[:1]
        for part in ("layer_norm1", "layer_norm2"):
            shapes[f"{name}.{part}.weight"] = shapes[f"{name}.{part}.bias"] = (width,)
    return {f"text_model.{name}": shape for name, shape in shapes.items()}


def measure(case: Case, weights: Path, out: Path, threads: int) -> dict[str, float]:
    """Runs one case in a fresh process, which saves its result as an array in ``out``."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    values = (case.part, case.dtype, str(case.side), str(case.tile), str(weights), str(out))
    command = [sys.executable, "-m", "benchmarks.stable_diffusion_worker", *values]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | limits
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def seams(picture: NDArray[np.float32], case: Case) -> float:
    """Returns the mean difference of neighbouring columns at the edges of tiles, relative to that of all
    columns."""
    tiler = DiffusionTiler(case.tile // SD1.factor, *OVERLAP)
    edges = tiler.edges(case.side // SD1.factor, SD1.factor if case.part == "decode" else 1)
    steps = np.abs(np.diff(picture, axis=2)).mean((0, 1))
    return float(np.mean([steps[edge - 1] for edge in edges]) / steps.mean())


def table(rows: Sequence[tuple[Case, dict[str, float]]]) -> str:
    """Returns a Markdown table of the measurements."""
    lines = [
        "| part | dtype | picture | tile | seconds | CPU s | peak MB | seams | difference |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case, measured in rows:
        seam = (
            f"{measured['seams']:.3f} (whole: {measured['seams_whole']:.3f})" if "seams" in measured else "-"
        )
        apart = f"{100 * measured['difference']:.1f} %" if "difference" in measured else "-"
        figures = (
            f"{measured['seconds']:.1f} | {measured['cpu']:.1f} | {measured['peak']:,.0f} | {seam} | {apart}"
        )
        lines.append(f"| {case.part} | {case.dtype} | {case.side}² | {case.tile} | {figures} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stable_diffusion", description=__doc__)
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="a pipeline in diffusers layout")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "stable-diffusion.md", metavar="FILE"
    )
    options = parser.parse_args(arguments)
    rows: list[tuple[Case, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or write_random_pipeline(Path(folder) / "pipeline")
        results: dict[Case, Path] = {}
        for case in CASES:
            results[case] = Path(folder) / f"{len(rows)}.npy"
            measured = measure(case, weights, results[case], options.threads)
            whole = Case(case.part, case.dtype, case.side, case.side)
            if case.tile < case.side and whole in results:
                a, b = np.load(results[case]), np.load(results[whole])
                measured |= {"seams": seams(a, case), "seams_whole": seams(b, case)}
                measured["difference"] = float(np.sqrt(np.mean((a - b) ** 2)) / b.std())
            rows.append((case, measured))
            print(f"{case}: {measured}", file=sys.stderr)
    kind = "its real weights" if options.weights else "random weights of the real architecture"
    text = (
        f"## Stable Diffusion, {kind}, CPU, {options.threads} thread(s)\n\n{table(rows)}\n"
        "Seconds are wall clock and CPU s the processor time of all threads, with the model loaded; denoise\n"
        "is one step; peak is the process's largest resident memory in MB, its weights included. Seams: the\n"
        "mean step between neighbouring columns at the edges of tiles over that everywhere, and the same in\n"
        "the whole picture. Difference: RMSE between tiled and whole, in percent of the whole's deviation.\n"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
