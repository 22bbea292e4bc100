"""From a folder of photographs to batches for training, by way of an archive.

``python examples/archive_to_training.py photos/ archive/`` predicts what the archive takes, makes it, checks
it, and goes through one epoch of latents, with the captions that lie beside the pictures as text files. Run
again, it encodes only pictures that are new. Needs ``calotype[archive]``; no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from calotype.archive import Archive, Dataset, PlanSettings, Settings, Work, create, plan
from calotype.options import EncodeOptions

SIDE = 64
"""Rows and columns of the latents in a batch: pictures of at least 512x512 pixels."""


def main(photos: Path, address: str) -> None:
    """Plans, makes, checks and reads the archive."""
    # scale=1 codes pictures at their own size, so that latents have 1/8 of it.
    work = Work(EncodeOptions(quality=70, effort=4, scale=1))
    predicted = plan([photos], PlanSettings((work,), least=10, most=50))
    size = predicted.predictions[0].archive_bytes
    print(f"{predicted.pictures:,} pictures will take {size.low / 1e6:.2f} to {size.high / 1e6:.2f} MB")

    counts = create([photos], address, Settings(work, dedupe=True))
    print(f"{counts.archived:,} archived, {counts.already:,} there already, {counts.failed:,} failed")
    with Archive(address) as archive:
        for row in archive.errors():
            print(f"  {row['name']}: {row['reason']}")
        damaged = [problem for problem in archive.verify() if problem is not None]
        print(f"{len(archive):,} pictures in {len(archive.records):,} parts, {len(damaged)} damaged")

    for number, batch in enumerate(batches(address, photos, size=4, seed=0)):
        print(f"batch {number}: {batch['latents'].shape}, {batch['captions']}")


def batches(address: str, photos: Path, *, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields batches of random crops: latents float32[size, 4, SIDE, SIDE] and captions."""
    random = np.random.default_rng(seed)
    large = [("coded_width", ">=", 8 * SIDE), ("coded_height", ">=", 8 * SIDE)]
    dataset = Dataset(address, "latents", columns=["name"], filters=large)
    latents, captions = [], []
    for item in dataset.shuffled(seed):
        _, rows, columns = item["latents"].shape
        top, left = random.integers(0, rows - SIDE + 1), random.integers(0, columns - SIDE + 1)
        latents.append(item["latents"][:, top : top + SIDE, left : left + SIDE])
        text = (photos / item["name"]).with_suffix(".txt")
        captions.append(text.read_text("utf-8").strip() if text.exists() else "")
        if len(latents) == size:
            yield {"latents": np.stack(latents), "captions": captions}
            latents, captions = [], []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
