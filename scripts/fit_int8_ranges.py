"""Fits ``calotype/models/int8_ranges.json`` to photographs: ``python -m scripts.fit_int8_ranges``.

Run it after the weights of the encoder or the decoder changed. It takes photographs of training in the folder
of ``CALOTYPE_ASSETS``, none of them held out, and needs a few minutes of one core. It prints the ratio of
signal to noise of each activation in 8 bits.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from calotype.encoding.plan import EFFORTS
from calotype.encoding.rate import TrialEncoder
from calotype.latents import level_map, log_step_map, reconstruct_latents
from calotype.models import DEFAULT_CONTEXT_MODEL, load_context_model, load_encoder
from calotype.models.features import with_outputs
from calotype.models.grain import grain_noise
from calotype.models.int8_graph import Range, block_activations
from calotype.models.onnx_file import read_graph
from calotype.models.onnx_session import OnnxSession
from calotype.models.registry import embedded_model
from calotype.models.shipped import read_shipped_file
from calotype.models.tiling import encode_tiled, pixels_to_unit_range
from calotype.options import DEFAULT_EFFORT
from scripts.fit_size_estimate import ROOT, photographs

OUT = ROOT / "src" / "calotype" / "models" / "int8_ranges.json"
LEVELS = (36, 52, 64, 76, 88)
VALUES_PER_PICTURE = 4096

IN_FLOAT32 = {"pocket-240-encoder.onnx": ("/at_half/", "/at_quarter/")}
"""Blocks that stay in float32. In 8 bits they would multiply the error of the latents by six."""


class Samples:
    """Random values of the activations of one file, by their names."""

    def __init__(self, file: str) -> None:
        graph = read_shipped_file(file)
        names = [
            name
            for output, activations in block_activations(read_graph(graph)).items()
            if not output.startswith(IN_FLOAT32.get(file, ()))
            for name in activations
        ]
        self.names = list(dict.fromkeys(names))
        self._session = OnnxSession(with_outputs(graph, self.names), None)
        self._rng = np.random.default_rng(1)
        self.values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self.names}

    def add(self, **inputs: NDArray[np.float32]) -> None:
        """Runs the network, and keeps some values of each activation, the extreme ones among them."""
        for name, activation in zip(self.names, self._session.run_named(self.names, **inputs), strict=True):
            flat = activation.ravel()
            kept = self._rng.choice(flat, VALUES_PER_PICTURE)
            self.values[name] += [kept, np.array([flat.min(), flat.max()], np.float32)]


def best_range(values: NDArray[np.float32]) -> tuple[Range, float]:
    """Returns the range of the smallest squared error in uint8, and the ratio of signal to noise in dB."""
    best: tuple[float, Range] | None = None
    for fraction in np.linspace(0.25, 1, 31):
        low, high = (float(fraction * end) for end in (min(values.min(), 0), max(values.max(), 0)))
        unit = max((high - low) / 255, 1e-9)
        zero = round(-low / unit)
        error = float(
            np.square((np.clip(np.rint(values / unit) + zero, 0, 255) - zero) * unit - values).mean()
        )
        if best is None or error < best[0]:
            best = error, (low, high)
    assert best is not None
    return best[1], float(10 * np.log10(np.square(values).mean() / best[0]))


def fitted(samples: Samples) -> Mapping[str, Range]:
    """Returns the range of each activation, and prints how exact it is."""
    ranges = {}
    for name, parts in samples.values.items():
        (low, high), ratio = best_range(np.concatenate(parts))
        ranges[name] = float(f"{low:.4g}"), float(f"{high:.4g}")
        print(f"{ratio:5.1f} dB  {low:8.3f} {high:8.3f}  {name}")
    return ranges


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="number of photographs")
    pocket = embedded_model("pocket")
    encoder, model = load_encoder("pocket"), load_context_model(DEFAULT_CONTEXT_MODEL)
    rdo = EFFORTS[DEFAULT_EFFORT].rdo
    of_encoder, of_decoder = (Samples(part.file) for part in (pocket.encoder, pocket.decoder))
    for number, rgb in enumerate(photographs(parser.parse_args().count)):
        of_encoder.add(pixels=pixels_to_unit_range(rgb))
        latents = encode_tiled(encoder, rgb)
        level = LEVELS[number % len(LEVELS)]
        trial = TrialEncoder(latents, model, rdo.lambda_, rdo.cascades[0], rdo.error_diffusion).trial(level)
        levels = level_map(level, np.zeros(latents.shape[1:], np.int64))
        reconstruction = reconstruct_latents(trial.result, levels)
        of_decoder.add(
            latents=reconstruction.latents,
            log_step=log_step_map(levels),
            conditional_mean=reconstruction.conditional_mean,
            grain=grain_noise((0, 0), *latents.shape[1:]),
        )
    ranges = {pocket.encoder.file: fitted(of_encoder), pocket.decoder.file: fitted(of_decoder)}
    OUT.write_text(json.dumps(ranges, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
