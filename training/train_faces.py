"""Stage 6: trains the face finder on latents of the shipped encoder.

``python training/train_faces.py --minutes 8``. The loss is the binary cross-entropy against the fraction of a
position that is face. ``--start`` names the run whose weights it begins with, such as ``shipped-faces`` of
``restore.py``.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from loop import Stage
from nets import FaceFinder
from scenes import Scenes, cached
from torch import Tensor, nn

from calotype.models import load_encoder

SIDE = 320
NOISE = 0.15
"""The largest deviation of the noise that is added, so that the finder also works with other encoders'
latents."""


def scenes(count: int, seed: int, *, validation: bool = False) -> tuple[Tensor, Tensor]:
    """Returns latents float32[N, 4, 40, 40] of scenes, and the fraction of each position that is face,
    float32[N, 1, 40, 40]."""

    def make() -> dict[str, np.ndarray]:
        draw, encoder = Scenes(seed, SIDE, validation=validation), load_encoder("pocket", 1)
        latents, faces = [], []
        for _ in range(count):
            pixels, cells = draw.draw()
            planes = pixels.transpose(2, 0, 1).astype(np.float32) / 255
            latents.append(encoder.encode(planes).astype(np.float16))
            faces.append(cells.astype(np.float16))
        return {"latents": np.stack(latents), "faces": np.stack(faces)}

    arrays = cached(f"scenes-{count}-{seed}{'-held-out' * validation}", make)
    return (
        torch.from_numpy(arrays["latents"].astype(np.float32)),
        torch.from_numpy(arrays["faces"].astype(np.float32))[:, None],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="faces")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--scenes", type=int, default=2400)
    parser.add_argument("--held-out", type=int, default=300, help="scenes for validation")
    parser.add_argument("--start", help="a run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    latents, faces = scenes(args.scenes, args.seed)
    stage = Stage(args.name, FaceFinder(), minutes=args.minutes, lr=args.lr, start=args.start)
    rng = torch.Generator().manual_seed(args.seed + stage.step)

    def loss() -> Tensor:
        chosen = torch.randint(len(latents), (args.batch,), generator=rng)
        x, wanted = latents[chosen], faces[chosen]
        y0, x0 = torch.randint(
            4, (2,), generator=rng
        ).tolist()  # The grids of 16 and 32 pixels must have no meaning.
        x, wanted = (v[..., y0 : y0 + 36, x0 : x0 + 36] for v in (x, wanted))
        if torch.rand((), generator=rng) < 0.5:
            x, wanted = x.flip(3), wanted.flip(3)
        x = x + NOISE * torch.rand(args.batch, 1, 1, 1, generator=rng) * torch.randn(x.shape, generator=rng)
        return F.binary_cross_entropy_with_logits(stage.model(x), wanted)

    held = scenes(args.held_out, args.seed + 2, validation=True)

    def validate(net: nn.Module) -> dict[str, float]:
        predicted, actual = net(held[0]) > 0, held[1] > 0.5
        return {
            "loss_held_out": round(float(F.binary_cross_entropy_with_logits(net(held[0]), held[1])), 4),
            "precision": round(float((predicted & actual).sum() / predicted.sum().clamp(min=1)), 3),
            "recall": round(float((predicted & actual).sum() / actual.sum()), 3),
        }

    stage.run(loss, validate)


if __name__ == "__main__":
    main()
