"""Packs photographs, teachers and starting weights into a few files for a machine that has only this tree.

``python training/pack.py --out FOLDER --start shipped``. Photographs become WebP, at most 768 pixels on the
longer side, in tar files of at most ``--limit`` megabytes. Teachers, judges and starting weights follow, in
the layout of the folder of assets. ``--unpack FOLDER`` restores all of it.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from assets import ASSETS, TRAINING_SETS, lpips_squeeze_weights
from loop import RUNS
from PIL import Image
from safetensors.torch import save_file

LONGEST = 768
QUALITY = 80
TAESD = ("taesd_encoder.safetensors", "taesd_decoder.safetensors")


def small_copy(path: Path) -> bytes:
    """Returns the photograph as WebP; a small WebP file is returned as it is."""
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        if max(image.size) <= LONGEST and len(data) <= 130_000 and path.suffix == ".webp":
            return data
        rgb = image.convert("RGB")
    rgb.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    rgb.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def photographs() -> Iterator[tuple[str, Path]]:
    """Yields (name within the assets, file) of every photograph that is listed."""
    for folder in TRAINING_SETS:
        with (ASSETS / "data" / folder / "SOURCES.tsv").open(newline="") as table:
            for row in csv.DictReader(table, delimiter="\t"):
                yield f"data/{folder}/{row['file']}", ASSETS / "data" / folder / row["file"]


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def pack(out: Path, start: str, limit: int, threads: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out / "models.tar", "w") as archive:
        perceptual = "models/lpips-alex-vgg/perceptual.safetensors"
        archive.add(ASSETS / perceptual, perceptual)
    with tarfile.open(out / "teachers.tar", "w") as archive:
        for name in TAESD:
            archive.add(ASSETS / "models" / "taesd" / name, f"models/taesd/{name}")
        squeeze = out / "lpips_sq.safetensors"
        save_file({name: value.contiguous() for name, value in lpips_squeeze_weights().items()}, squeeze)
        archive.add(squeeze, "models/lpips-squeeze/lpips_sq.safetensors")
        squeeze.unlink()
        archive.add(ASSETS / "tools" / "perceptual.py", "tools/perceptual.py")
    with tarfile.open(out / "start.tar", "w") as archive:
        state = torch.load(RUNS / start / "last.pt", weights_only=True)["average"]
        buffer = io.BytesIO()
        torch.save({"average": {name: value.half() for name, value in state.items()}}, buffer)
        add(archive, f"runs/{start}/last.pt", buffer.getvalue())
    number, size = 0, limit * 10**6
    archive = tarfile.open(out / "photographs-0.tar", "w")  # noqa: SIM115
    for folder in TRAINING_SETS:
        name = f"data/{folder}/SOURCES.tsv"
        archive.add(ASSETS / name, name)
    with ThreadPoolExecutor(threads) as pool:
        listed = list(photographs())
        # Every part holds a sample of all photographs, so that a run can be tried with one part.
        listed = [item for first in range(7) for item in listed[first::7]]
        for (name, _), data in zip(listed, pool.map(small_copy, [path for _, path in listed]), strict=True):
            if archive.offset + len(data) + 20_000 > size:
                archive.close()
                number += 1
                archive = tarfile.open(out / f"photographs-{number}.tar", "w")  # noqa: SIM115
            add(archive, name, data)
    archive.close()


def unpack(folder: Path, assets: Path) -> None:
    """Unpacks the tar files of ``folder`` into the folder of assets, and starting weights into the runs."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            archive.extractall(assets, filter="data")
    for run in (assets / "runs").glob("*"):
        shutil.copytree(run, RUNS / run.name, dirs_exist_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the packs into this folder")
    parser.add_argument("--unpack", type=Path, help="read the packs of this folder into the assets")
    parser.add_argument("--start", default="shipped", help="the run whose averaged weights are packed")
    parser.add_argument("--limit", type=int, default=40, help="megabytes in one file")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.out is not None:
        pack(args.out, args.start, args.limit, args.threads)
    if args.unpack is not None:
        unpack(args.unpack, ASSETS)


if __name__ == "__main__":
    main()
