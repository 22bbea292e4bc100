"""Stage 7: what the codec makes of the photographs: tiles of them, as files have them, for the decoder.

``python training/code_tiles.py --tiles 1500``. Each tile is a part of a photo at some size, encoded by the
embedded encoder and coded twice, each time at a random level and rate-distortion strength. Writes memory
maps of ``pixels`` uint8[N, S, S, 3], ``integers`` int16[N, 2, 4, S/8, S/8], ``offsets`` int8 likewise and
``levels`` uint8[N, 2]; the tiles of held-out photos come first, and ``index.json`` says how many there are.
"""

from __future__ import annotations

import argparse
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from assets import SOURCE_WEIGHT, held_out, photos
from PIL import Image, ImageOps

from calotype.coding import FEEDBACK, STRENGTH
from calotype.latents import Drafter
from calotype.models import DEFAULT_TABLE, load_encoder, load_table
from calotype.tiling import encode_tiled

TILES = Path(__file__).resolve().parent / "cache" / "tiles"
SIZE, CODINGS = 384, 2
VALIDATION_LEVELS = (60, 84)
_FIELDS = {
    "pixels": (np.uint8, (SIZE, SIZE, 3)),
    "integers": (np.int16, (CODINGS, 4, SIZE // 8, SIZE // 8)),
    "offsets": (np.int8, (CODINGS, 4, SIZE // 8, SIZE // 8)),
    "levels": (np.uint8, (CODINGS,)),
}


def open_tiles(count: int, mode: str) -> dict[str, np.memmap]:
    """The memory maps of ``count`` tiles, by field."""
    return {
        name: np.memmap(TILES / name, dtype, mode, shape=(count, *shape))  # type: ignore[call-overload]
        for name, (dtype, shape) in _FIELDS.items()
    }


def tile_of(path: Path, rng: random.Random) -> np.ndarray | None:
    """uint8[S, S, 3]: a part of the photo at some scale, perhaps mirrored; None if it is too small."""
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = rng.choices((1.0, rng.uniform(0.5, 1), rng.uniform(1.1, 1.4)), (5, 3, 2))[0]
    scale = max(scale, SIZE / min(photo.size))
    if scale > 1.5:
        return None
    part = SIZE / scale
    left, top = (max(rng.uniform(0, side - part), 0) for side in photo.size)
    box = (left, top, min(left + part, photo.width), min(top + part, photo.height))
    tile = photo.resize(
        (SIZE, SIZE), Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC, box
    )
    return np.asarray(ImageOps.mirror(tile) if rng.random() < 0.5 else tile)


def level_and_strength(rng: random.Random) -> tuple[int, float]:
    """Levels as files have them; strengths around those of ``calotype.latents.rate``, for a third 0."""
    level = rng.randint(8, 104) if rng.random() < 0.2 else rng.randint(44, 96)
    fade = min(max((96 - level) / 24, 0), 1)
    return level, rng.uniform(0, 0.1) * fade * (rng.random() > 0.35)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=6)
    args = parser.parse_args()
    TILES.mkdir(parents=True, exist_ok=True)
    rng, reserved = random.Random(args.seed), held_out()
    pool = photos()
    kept = [path for path in pool if path.name in reserved]
    rest = [path for path in pool if path.name not in reserved]
    weights = [SOURCE_WEIGHT.get(path.name.split("-")[0], 1.0) * path.stat().st_size ** 0.5 for path in rest]
    order = kept + rng.choices(rest, weights, k=2 * args.tiles)
    tiles = open_tiles(args.tiles, "w+")
    encoder, table = load_encoder("pocket", threads=1), load_table(DEFAULT_TABLE)

    def made(job: tuple[int, Path]) -> tuple[np.ndarray, list[tuple[int, np.ndarray, np.ndarray]]] | None:
        number, path = job
        mine = random.Random(f"{args.seed} {number} {path.name}")
        pixels = tile_of(path, mine)
        if pixels is None:
            return None
        latents, coded = encode_tiled(encoder, pixels), []
        for coding in range(CODINGS):
            level, strength = level_and_strength(mine)
            feedback = mine.uniform(0.4, 1) * (mine.random() > 0.25)
            if path.name in reserved:
                level, strength, feedback = VALIDATION_LEVELS[coding], STRENGTH, FEEDBACK
            drafter = Drafter(latents, table, strength, feedback=feedback)
            walked = drafter.draft(level, strength).walked
            coded.append((level, walked.integers, walked.offsets))
        return pixels, coded

    done = held = 0
    with ThreadPoolExecutor(2) as workers:
        for start in range(0, len(order), 64):
            batch = order[start : start + 64]
            for path, found in zip(batch, workers.map(made, enumerate(batch, start)), strict=True):
                if found is None or done == args.tiles:
                    continue
                tiles["pixels"][done] = found[0]
                for coding, (level, integers, offsets) in enumerate(found[1]):
                    tiles["levels"][done, coding] = level
                    tiles["integers"][done, coding] = integers
                    tiles["offsets"][done, coding] = offsets
                done, held = done + 1, held + (path.name in reserved)
            print(f"{done} tiles", flush=True)
            if done == args.tiles:
                break
    (TILES / "index.json").write_text(json.dumps({"tiles": done, "held_out": held}))


if __name__ == "__main__":
    main()
