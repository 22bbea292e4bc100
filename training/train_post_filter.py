"""Stage 9: the post-filter, which corrects pocket's decoded latents for the decoders of Stable Diffusion.

``python training/train_post_filter.py --minutes 42 --decoded 1 --batch 8``, then ``export_networks.py`` with
``--part post-filter``, and ``seal.py``. Pocket's latents are quantised as in the codec's encoder, with
rate-distortion optimisation. The losses are LPIPS-SqueezeNet of the picture by TAESD's decoder, and the
squared error against TAESD's own latents of the picture.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from assets import Lpips, held_out, taesd_decoder, taesd_encoder
from fit_thumbnail import random_crop
from loop import Stage, autocast
from nets import PostFilter
from photographs import listed
from scenes import cached
from torch import Tensor, nn

from calotype.encoding.rate import TrialEncoder
from calotype.latents import log_step_map, reconstruct_latents
from calotype.models import DEFAULT_CONTEXT_MODEL, list_models, load_context_model, load_encoder

LEVELS = (44, 88)
"""The levels of training, both included; files of 1.2 to 8 kB at 512x512 have such ones."""

LAMBDA, ERROR_DIFFUSION = 0.05, 0.5  # as in calotype.encoding.plan
CHECKED_LEVELS = (56, 64, 76)


def samples(count: int, side: int, seed: int, levels: tuple[int, ...]) -> dict[str, Tensor]:
    """Returns the filter's inputs, TAESD's latents float32[N, 4, h, w] and pixels uint8[N, 3, 8h, 8w].

    The inputs float32[N, 9, h, w] are the dequantised latents, the conditional means and log2 of the step.
    Without ``levels`` the crops are those of training photographs, each at a random level. Otherwise they are
    those of held-out ones, each at all of these levels, one after another.
    """

    def make() -> dict[str, np.ndarray]:
        rng, reserved = np.random.default_rng(seed), held_out()
        paths = [path for path, _ in listed() if (path.name in reserved) == bool(levels)]
        encoder, taesd = load_encoder("pocket", 1), taesd_encoder()
        context = load_context_model(DEFAULT_CONTEXT_MODEL)
        arrays: dict[str, list[np.ndarray]] = {"inputs": [], "wanted": [], "pixels": []}
        for number in rng.choice(len(paths), count, replace=len(paths) < count):
            rgb = random_crop(paths[number], rng, side).transpose(2, 0, 1)
            planes = rgb.astype(np.float32) / 255
            with torch.inference_mode():
                wanted = taesd(torch.from_numpy(planes)[None])[0].numpy()
            trials = TrialEncoder(encoder.encode(planes), context, LAMBDA, error_diffusion=ERROR_DIFFUSION)
            for level in levels or (int(rng.integers(LEVELS[0], LEVELS[1] + 1)),):
                level_map = np.full(wanted.shape[1:], level)
                decoded = reconstruct_latents(trials.trial(level).result, level_map)
                parts = (decoded.latents, decoded.conditional_mean, log_step_map(level_map))
                arrays["inputs"].append(np.concatenate(parts).astype(np.float32))
                arrays["wanted"].append(wanted)
                arrays["pixels"].append(rgb)
        return {name: np.stack(array) for name, array in arrays.items()}

    weights = next(model.sha256["encoder"] for model in list_models() if model.name == "pocket")[:8]
    kept = cached(f"post-filter-{weights}-{count}-{side}-{seed}{'-held-out' * bool(levels)}", make)
    return {name: torch.from_numpy(array) for name, array in kept.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="post-filter")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--crops", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=16, help="crops of the squared error")
    parser.add_argument("--decoded", type=int, default=2, help="crops of LPIPS")
    parser.add_argument("--lpips", type=float, default=1.0, help="weight of LPIPS")
    parser.add_argument("--lpips-from", type=float, default=0.1, help="share of the time without LPIPS")
    parser.add_argument("--held-out", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    training, checked = samples(args.crops, 256, 1, ()), samples(args.held_out, 512, 2, CHECKED_LEVELS)
    decoder, lpips = taesd_decoder().to(memory_format=torch.channels_last), Lpips()
    stage = Stage(args.name, PostFilter(), minutes=args.minutes, lr=args.lr)

    def corrected(net: nn.Module, inputs: Tensor) -> Tensor:
        latents, means, log_step = inputs.split((4, 4, 1), 1)
        return net(latents, log_step, means)

    def shown(latents: Tensor) -> Tensor:
        with autocast(torch.device("cpu")):
            return decoder(latents.contiguous(memory_format=torch.channels_last)).float()

    def distance(latents: Tensor, pixels: Tensor) -> Tensor:
        return lpips(shown(latents), pixels.float() / 255)

    def loss() -> Tensor:
        chosen = torch.randint(len(training["inputs"]), (args.batch,))
        inputs, wanted = training["inputs"][chosen], training["wanted"][chosen]
        filtered = corrected(stage.model, inputs)
        error = (filtered - wanted).square().mean()
        if stage.done < args.lpips_from:
            return error
        pixels = training["pixels"][chosen[: args.decoded]]
        return error + args.lpips * distance(filtered[: args.decoded], pixels).mean()

    def validate(net: nn.Module) -> dict[str, float]:
        row, count = {}, len(CHECKED_LEVELS)
        for number, level in enumerate(CHECKED_LEVELS):
            inputs = checked["inputs"][number::count]
            filtered = corrected(net, inputs)
            wanted, pixels = checked["wanted"][number::count], checked["pixels"][number::count]
            for name, latents in (("", filtered), ("unfiltered-", inputs[:, 4:8])):
                key = f"{name}{level}"
                row[f"error-{key}"] = float((latents - wanted).square().mean())
                pairs = zip(latents.split(1), pixels.split(1), strict=True)
                row[f"lpips-{key}"] = float(np.mean([float(distance(*pair)) for pair in pairs]))
        return row

    stage.run(loss, validate)


if __name__ == "__main__":
    main()
