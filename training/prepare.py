"""Stage 0: decode the photographs once, encode them once with the teacher.

Writes to the cache folder three files: ``pixels.u8`` (uint8[H, W, 3] rasters, one after another),
``latents.f16`` (float16[4, H/8, W/8], scaled by 0.18215) and ``index.json``. Every photo is stored
twice: as it is, and mirrored at a smaller scale. Usage: ``python training/prepare.py``.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from assets import held_out, photos, taesd_encoder
from PIL import Image, ImageOps

CACHE = Path(__file__).resolve().parent / "cache"


def variants(path: Path) -> list[np.ndarray]:
    """uint8[H, W, 3] rasters of one photo, sides multiples of 8."""
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = random.Random(path.name).uniform(0.45, 0.75)
    out = [photo]
    if max(photo.size) >= 500:
        size = (round(photo.width * scale), round(photo.height * scale))
        out.append(ImageOps.mirror(photo.resize(size, Image.Resampling.LANCZOS)))
    cropped = (im.crop((0, 0, im.width // 8 * 8, im.height // 8 * 8)) for im in out)
    return [np.asarray(im) for im in cropped if min(im.size) >= 128]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=CACHE)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    encoder = taesd_encoder().bfloat16().to(memory_format=torch.channels_last)
    reserved, index, at, latent_at = held_out(), [], 0, 0
    with (out / "pixels.u8").open("wb") as pixels, (out / "latents.f16").open("wb") as latents:
        for number, path in enumerate(photos()):
            for array in variants(path):
                x = torch.from_numpy(array.copy()).permute(2, 0, 1)[None].bfloat16() / 255
                with torch.inference_mode():
                    z = encoder(x.contiguous(memory_format=torch.channels_last))[0]
                z16 = z.float().numpy().astype(np.float16)
                index.append(
                    {
                        "name": path.name,
                        "size": array.shape[:2],
                        "pixels": at,
                        "latents": latent_at,
                        "held_out": path.name in reserved,
                    }
                )
                pixels.write(array.tobytes())
                latents.write(np.ascontiguousarray(z16).tobytes())
                at, latent_at = at + array.size, latent_at + z16.size
            if number % 100 == 0:
                print(f"{number} photos", flush=True)
    (out / "index.json").write_text(json.dumps(index))


if __name__ == "__main__":
    main()
