"""A cache of latents in float32, in float16 and in .calo files: ``python -m benchmarks.latents``.

TAESD's encoder makes the latents of twelve Kodak pictures (centre crops of 512x512), as a trainer caches
them. The error of each form is the root mean square over scaled latents, and in pictures the PSNR between
what TAESD's decoder makes of the cached latents and of the exact ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from benchmarks.networks import Taesd
from benchmarks.pictures import POOLS, RESULTS, centre, load_rgb
from calotype.compare.metrics import METRICS
from calotype.latent_files import CachedLatents, pack_cache, unpack_cache
from calotype.latents import SD1

__all__ = ["FORMS", "main", "measure", "table"]

SIDE = 512
QUALITIES = (50, 70, 90)
EFFORT = 4
"""Rounding only: rate-distortion optimisation would trade error for bytes."""

Latents = NDArray[np.float32]
Record = dict[str, Any]


def _npz(dtype: Any) -> Callable[[Latents], tuple[int, dict[str, Latents]]]:
    def cached(latents: Latents) -> tuple[int, dict[str, Latents]]:
        data = pack_cache(CachedLatents(latents, SIDE, SIDE), "npz", dtype=dtype)
        return len(data), {"": unpack_cache(data, "picture.npz")[0].scaled}

    return cached


def _calo(quality: int) -> Callable[[Latents], tuple[int, dict[str, Latents]]]:
    def cached(latents: Latents) -> tuple[int, dict[str, Latents]]:
        data = calotype.write_latents(latents, quality=quality, effort=EFFORT, model="taesd")
        mean = calotype.read_latents(data, conditional_mean=True)
        return len(data), {"": calotype.read_latents(data), ", conditional mean": mean}

    return cached


FORMS = {
    "float32 .npz": _npz("float32"),
    "float16 .npz": _npz("float16"),
    **{f".calo, quality {quality}": _calo(quality) for quality in QUALITIES},
}
"""Functions by the name of the form: scaled latents to (bytes, the latents read back, by the way of reading).
"""


def measure(latents: Latents, decode: Callable[[Latents], NDArray[np.uint8]]) -> Record:
    """Returns bytes, RMS error and PSNR of each form for one picture's scaled latents float32[4, h, w]."""
    exact = decode(latents)
    psnr = METRICS["psnr"]()
    record: Record = {"deviation": round(float(latents.std()), 4)}
    for form, cached in FORMS.items():
        size, readings = cached(latents)
        for reading, values in readings.items():
            rms = float(np.sqrt(np.mean((values - latents) ** 2)))
            picture = decode(values)
            same = np.array_equal(picture, exact)
            figure = None if same else round(float(psnr(exact, picture)), 2)
            record[form + reading] = [size, round(rms, 5), figure]
    return record


def table(records: Sequence[Record]) -> str:
    """Returns the Markdown page with means over the pictures."""
    names = [name for name in records[0] if name not in ("picture", "deviation")]
    deviation = float(np.mean([record["deviation"] for record in records]))
    lines = [
        "# Latents as data\n",
        f"Means over {len(records)} Kodak pictures (centre crops of {SIDE}×{SIDE}), latents of TAESD's "
        f"encoder with a deviation of {deviation:.2f} when scaled by {SD1.scaling}. PSNR is between what "
        "TAESD's decoder makes of the cached latents and of the exact ones. Written by "
        "`python -m benchmarks.latents`.\n",
        "| form | bytes | of float32 | RMS error | PSNR |\n| --- | ---: | ---: | ---: | ---: |",
    ]
    whole = float(np.mean([record[names[0]][0] for record in records]))
    for name in names:
        size, rms = (float(np.mean([record[name][part] for record in records])) for part in (0, 1))
        figures = [record[name][2] for record in records if record[name][2] is not None]
        shown = f"{np.mean(figures):.1f} dB" if figures else "same pictures"
        lines.append(f"| {name} | {size:,.0f} | {size / whole:.1%} | {rms:.4f} | {shown} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None, results: Path = RESULTS) -> int:
    """Measures the pictures that are missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=12, help="number of Kodak pictures")
    options = parser.parse_args(arguments)
    file = results / "latents.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    records: dict[str, Record] = {record["picture"]: record for record in map(json.loads, lines)}
    networks = Taesd(threads=1)
    for path in POOLS["kodak"](SIDE)[: options.count]:
        if path.stem not in records:
            latents = networks.encode(centre(load_rgb(path), SIDE))
            records[path.stem] = {"picture": path.stem, **measure(latents, networks.decode)}
            print(path.stem, flush=True)
            file.write_text("".join(json.dumps(records[name]) + "\n" for name in sorted(records)), "utf-8")
    (results / "latents.md").write_text(table([records[name] for name in sorted(records)]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
