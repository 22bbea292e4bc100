"""Stage 8: fits the thumbnail networks to latents of the shipped encoder and of TAESD's.

``python training/fit_thumbnail.py --minutes 4 --out W/thumbnail-240.npz``, where W is the folder of weights,
then ``seal.py``. The loss is the squared error against the mean colours of blocks of 8x8 and of 16x16 pixels;
at 1/16 the error of a crop's mean colour is added. The latents are rounded at levels 8 to 104 by the codec's
own coding pass. The script prints the error on held-out photographs, and for comparison that of maps that are
linear in the latents of one position and of 3x3 positions.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from assets import held_out, taesd_encoder
from photographs import listed
from PIL import Image
from scenes import cached
from torch import Tensor, nn

from calotype.entropy import CodingPass, PassResult
from calotype.latents import CHANNEL_OFFSETS, COARSEST, FINEST, STEPS, log_step_map, reconstruct_latents
from calotype.models import DEFAULT_CONTEXT_MODEL, list_models, load_context_model, load_encoder

SIDE = 384
WIDTHS = (64, 48)
CROP = 24
"""Latent positions of a training crop on a side."""


MEAN_COLOUR = {1: 0.0, 2: 5.0}
"""The weight of the squared error of a crop's mean colour, relative to that of the pixels, by spacing. At a
spacing of 1 the pixels alone give colours that are as close."""


@dataclass(frozen=True)
class Samples:
    """Conditional means and steps float32[N, 5, h, w], and the pixels uint8[N, 3, 8h, 8w]."""

    inputs: Tensor
    pixels: Tensor


def rounded(latents: np.ndarray, levels: np.ndarray) -> PassResult:
    """Returns the coding pass of latents float32[4, h, w], rounded to the nearest step of ``levels`` int64[h,
    w].
    """
    coding = CodingPass(load_context_model(DEFAULT_CONTEXT_MODEL), levels, STEPS, CHANNEL_OFFSETS)
    while (prediction := coding.prediction) is not None:
        values = latents[prediction.channel, prediction.rows, prediction.columns].ravel()
        coding.advance(np.rint(values / (prediction.step * 2.0**-22)).astype(np.int64))
    return coding.result


def samples(count: int, seed: int, *, validation: bool = False) -> Samples:
    """Returns the latents of ``count`` crops by both encoders, from the cache if they are there."""

    def make() -> dict[str, np.ndarray]:
        rng, reserved = np.random.default_rng(seed), held_out()
        paths = [path for path, _ in listed() if (path.name in reserved) == validation]
        pocket, taesd = load_encoder("pocket", 1), taesd_encoder()
        inputs, pixels = [], []
        for number in rng.choice(len(paths), count, replace=len(paths) < count):
            rgb = random_crop(paths[number], rng, SIDE)
            planes = rgb.transpose(2, 0, 1).astype(np.float32) / 255
            with torch.inference_mode():
                both = pocket.encode(planes), taesd(torch.from_numpy(planes)[None])[0].numpy()
            for latents in both:
                levels = np.full(latents.shape[1:], rng.integers(FINEST, COARSEST + 1))
                means = reconstruct_latents(rounded(latents, levels), levels).conditional_mean
                inputs.append(np.concatenate([means, log_step_map(levels)]))
                pixels.append(rgb.transpose(2, 0, 1))
        return {"inputs": np.stack(inputs), "pixels": np.stack(pixels)}

    weights = next(model.sha256["encoder"] for model in list_models() if model.name == "pocket")[:8]
    kept = cached(f"thumbnails-{weights}-{count}-{seed}{'-held-out' * validation}", make)
    return Samples(torch.from_numpy(kept["inputs"]), torch.from_numpy(kept["pixels"]))


def random_crop(path: Path, rng: np.random.Generator, size: int) -> np.ndarray:
    """Returns a random square of a photograph, resized to uint8[size, size, 3]."""
    with Image.open(path) as photo:
        side = min(round(size * rng.uniform(1, 2.5)), *photo.size)
        left, top = (int(rng.integers(length - side + 1)) for length in photo.size)
        window = photo.convert("RGB").crop((left, top, left + side, top + side))
        return np.asarray(window.resize((size, size), Image.Resampling.LANCZOS))


class Network(nn.Module):
    """Maps inputs float32[N, 5, h, w] to colours [N, 3, h - 2, w - 2], as ``calotype.models.thumbnail``
    does.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second = WIDTHS
        self.layers = nn.ModuleList(
            [nn.Conv2d(5, first, 3), nn.Conv2d(first, second, 1), nn.Conv2d(second, 3, 1)]
        )

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


def pairs(crops: Samples, spacing: int, *, shifted: bool = False) -> tuple[Tensor, Tensor]:
    """Returns (inputs, mean colours float32[N, 3, h, w] in [0, 1]) of every ``spacing``-th row and column.

    ``shifted`` adds those that begin with another row or column, as if the pictures were cut there.
    """
    starts = [(y, x) for y in range(spacing) for x in range(spacing)] if shifted else [(0, 0)]
    inputs, means = [], []
    height, width = ((size - spacing + 1) // spacing * spacing for size in crops.inputs.shape[2:])
    for y, x in starts:
        planes = crops.inputs[:, :, y : y + height, x : x + width]
        pixels = crops.pixels[:, :, 8 * y : 8 * (y + height), 8 * x : 8 * (x + width)]
        inputs.append(planes[:, :, ::spacing, ::spacing])
        means.append(F.avg_pool2d(pixels.float(), 8 * spacing) / 255)
    return torch.cat(inputs), torch.cat(means)


def fitted(inputs: Tensor, target: Tensor, mean_colour: float, minutes: float, lr: float) -> Network:
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), lr)
    begun, step = time.monotonic(), 0
    side = min(CROP, inputs.shape[-1])
    while (share := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, step / 100) * max(0.5 + 0.5 * np.cos(np.pi * share), 0.002)
        chosen = torch.randint(len(inputs), (48,))
        top, left = (int(torch.randint(inputs.shape[-1] - side + 1, ())) for _ in range(2))
        window = inputs[chosen, :, top : top + side, left : left + side]
        wanted = target[chosen, :, top : top + side, left : left + side]
        error = network(F.pad(window, (1,) * 4, mode="replicate")) - wanted
        loss = error.square().mean() + mean_colour * error.mean((2, 3)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
    print(f"{step} steps", flush=True)
    with torch.inference_mode():  # The bias makes the mean error of each colour over all crops zero.
        padded = F.pad(inputs, (1,) * 4, mode="replicate")
        error = torch.cat([network(crops) for crops in padded.split(100)]) - target
        network.layers[-1].bias -= error.mean((0, 2, 3))
    return network


def linear(inputs: Tensor, target: Tensor, reach: int) -> Tensor:
    """Returns the least-squares map of the positions up to ``reach`` away, as a matrix with the bias last."""
    columns, wanted = _columns(inputs, reach), target.permute(0, 2, 3, 1).reshape(-1, 3)
    columns, wanted = columns.double(), wanted.double()
    return torch.linalg.solve(columns.T @ columns, columns.T @ wanted).float()


def _columns(inputs: Tensor, reach: int) -> Tensor:
    size = 2 * reach + 1
    columns = F.unfold(F.pad(inputs[:, :4], (reach,) * 4, mode="replicate"), size)
    columns = columns.transpose(1, 2).reshape(-1, 4 * size**2)
    return torch.cat([columns, torch.ones(len(columns), 1)], 1)


def report(name: str, predicted: Tensor, target: Tensor) -> None:
    """Prints the PSNR over all crops, and the mean difference of each colour in 1/255."""
    error = predicted.clamp(0, 1) - target
    psnr = -10 * error.square().mean().log10()
    colour = ", ".join(f"{value:+.2f}" for value in (255 * error.mean((0, 2, 3))).tolist())
    off = 255 * error.mean((2, 3)).abs().mean()
    print(f"{name}: {psnr:.2f} dB, colours {colour}, mean colour of a picture off by {off:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4, help="for each of the two networks")
    parser.add_argument("--photographs", type=int, default=300)
    parser.add_argument("--held-out", type=int, default=40)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    training = samples(args.photographs, args.seed)
    validation = samples(args.held_out, args.seed, validation=True)
    arrays = {}
    for spacing in (1, 2):
        inputs, target = pairs(training, spacing, shifted=True)
        shown, wanted = pairs(validation, spacing)
        for reach in (0, 1):
            flat = _columns(shown, reach) @ linear(inputs, target, reach)
            guess = flat.reshape(len(shown), *wanted.shape[2:], 3).permute(0, 3, 1, 2)
            report(f"1/{8 * spacing}, linear, {2 * reach + 1}x{2 * reach + 1}", guess, wanted)
        network = fitted(inputs, target, MEAN_COLOUR[spacing], args.minutes, args.lr).half().float().eval()
        with torch.inference_mode():
            report(f"1/{8 * spacing}, network", network(F.pad(shown, (1,) * 4, mode="replicate")), wanted)
        for number, layer in enumerate(network.layers):
            weight = layer.weight.detach().flatten(1)
            arrays[f"weight_{spacing}_{number}"] = weight.numpy().astype(np.float16)
            arrays[f"bias_{spacing}_{number}"] = layer.bias.detach().numpy().astype(np.float16)
    np.savez(args.out, **arrays)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
