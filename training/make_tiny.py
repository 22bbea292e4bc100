"""Makes the model ``tiny`` of the test suite: a random linear map of the mean colours of 8x8 pixels, and
back.

``python training/make_tiny.py --out FOLDER``. The encoder maps the mean colour of every 8x8 block to
four latents with random, orthonormal directions; the decoder is its pseudo-inverse, spread over the block.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from export_networks import export
from torch import Tensor, nn


class TinyEncoder(nn.Module):
    def __init__(self, mix: Tensor) -> None:
        super().__init__()
        self.mix = nn.Parameter(mix.view(4, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return nn.functional.conv2d(nn.functional.avg_pool2d(pixels - 0.5, 8), self.mix)


class TinyDecoder(nn.Module):
    def __init__(self, unmix: Tensor) -> None:
        super().__init__()
        self.unmix = nn.Parameter(unmix.view(3, 4, 1, 1))

    def forward(self, latents: Tensor, log_step: Tensor) -> Tensor:
        colour = nn.functional.conv2d(latents + 0 * log_step, self.unmix) + 0.5
        return nn.functional.interpolate(colour, scale_factor=8, mode="nearest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    directions = np.linalg.qr(np.random.default_rng(250).normal(size=(4, 3)))[0]
    mix = (directions * 4).astype(np.float16).astype(np.float32)
    unmix = np.linalg.pinv(mix.astype(np.float64)).astype(np.float32)
    encoder, decoder = TinyEncoder(torch.from_numpy(mix)), TinyDecoder(torch.from_numpy(unmix))
    export(encoder, {"pixels": torch.zeros(1, 3, 128, 192)}, "latents", out / "tiny-250-encoder.onnx")
    inputs = {"latents": torch.zeros(1, 4, 16, 24), "log_step": torch.zeros(1, 1, 16, 24)}
    export(decoder, inputs, "pixels", out / "tiny-250-decoder.onnx")


if __name__ == "__main__":
    main()
