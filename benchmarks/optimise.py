"""The gain of effort 9: ``python -m benchmarks.optimise``.

The benchmark encodes centre crops of Kodak pictures at equal bytes: with the default effort, and with effort
9 without and with the graph of LPIPS in the loss, for pocket and for TAESD as encoder and decoder. It
measures LPIPS with AlexNet and DISTS, which are not part of the loss, among others. Every figure is written
to ``effort-9.jsonl`` beside the table as soon as it is measured; a later run measures what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from benchmarks.judges import Judges
from benchmarks.pictures import ASSETS, RESULTS, centre, load_rgb
from calotype.compare.metrics import available_metrics

__all__ = ["AIMS", "MODELS", "PICTURES", "main", "measure", "table"]

PICTURES = ("kodim01", "kodim03", "kodim05", "kodim13", "kodim15", "kodim23")
MODELS = ("pocket", "taesd")
AIMS = ("default", "effort 9", "effort 9, LPIPS")

_GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"
_BYTES = 5000  # at 512x512
_SHOWN = {
    "psnr": ("PSNR", ".2f"),
    "ssimulacra2": ("SSIMULACRA2", ".1f"),
    "lpips": ("LPIPS-SqueezeNet", ".4f"),
    "lpips_alex": ("LPIPS-Alex", ".4f"),
    "dists": ("DISTS", ".4f"),
}
"""The columns of the tables: title and format."""

Record = dict[str, Any]


def measure(rgb: NDArray[np.uint8], model: str, aim: str, threads: int | None, judges: Judges) -> Record:
    """Returns bytes, processor seconds and figures of ``rgb`` uint8[H, W, 3] by ``model`` with one of
    ``AIMS``.
    """
    diffusion = calotype.DiffusionOptions(
        weights=str(ASSETS / "models" / "taesd"), device="cpu", dtype="float32"
    )
    budget = _BYTES * rgb.shape[0] * rgb.shape[1] // 512**2
    options = calotype.EncodeOptions(model=model, target_size=budget, diffusion=diffusion)
    fields: Record = {} if aim == AIMS[0] else {"effort": 9, "decoder": model, "time_limit": 86_400.0}
    if aim == AIMS[2]:
        fields["lpips"] = str(_GRAPH)
    codec = calotype.Codec(threads=threads)
    codec.decode(
        codec.encode(rgb[:64, :64], options), model=model, diffusion=diffusion
    )  # This loads the model.
    start = time.process_time()
    data = codec.encode(rgb, options, **fields)
    seconds = time.process_time() - start
    picture = codec.decode(data, model=model, diffusion=diffusion, as_array=True)
    metrics, _ = available_metrics(_GRAPH, threads)
    figures = {name: round(metric(rgb, picture), 5) for name, metric in metrics.items() if name in _SHOWN}
    figures |= {name: round(value, 5) for name, value in judges(rgb, picture).items() if name in _SHOWN}
    return {"bytes": len(data), "seconds": round(seconds, 1), **figures}


def table(records: Sequence[Record]) -> str:
    """Returns two Markdown tables: means over the pictures, and every figure."""
    head = " | ".join(title for title, _ in _SHOWN.values())
    rule = f"{' ---: |' * (len(_SHOWN) + 2)}\n"
    keys = ("bytes", *_SHOWN, "seconds")

    def line(record: Record) -> str:
        shown = [f"{record[name]:{form}}" if name in record else "-" for name, (_, form) in _SHOWN.items()]
        return " | ".join([f"{record['bytes']:,.0f}", *shown, f"{record['seconds']:,.0f}"])

    means = [f"| model | aim | pictures | bytes | {head} | seconds |\n| --- | --- | ---: |{rule}"]
    for model in MODELS:
        for aim in AIMS:
            chosen = [record for record in records if (record["model"], record["aim"]) == (model, aim)]
            if chosen:
                mean = {
                    key: float(np.mean([record[key] for record in chosen]))
                    for key in keys
                    if key in chosen[0]
                }
                means.append(f"| {model} | {aim} | {len(chosen)} | {line(mean)} |\n")
    lines = [f"| picture | model | aim | bytes | {head} | seconds |\n| --- | --- | --- |{rule}"]
    for record in sorted(
        records, key=lambda record: (record["picture"], record["model"], AIMS.index(record["aim"]))
    ):
        lines.append(f"| {record['picture']} | {record['model']} | {record['aim']} | {line(record)} |\n")
    return f"{''.join(means)}\n{''.join(lines)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimise", description=__doc__)
    parser.add_argument("--pictures", nargs="+", default=PICTURES, metavar="NAME")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--aims", nargs="+", default=AIMS, choices=AIMS)
    parser.add_argument("--crop", type=int, default=512, metavar="SIDE")
    parser.add_argument("--threads", type=int, metavar="N", help="default: every core")
    parser.add_argument("--out", type=Path, default=RESULTS / "effort-9.md", metavar="FILE")
    options = parser.parse_args(arguments)
    log = options.out.with_suffix(".jsonl")
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    records: list[Record] = [json.loads(line) for line in lines]
    have = {(record["picture"], record["model"], record["aim"], record["crop"]) for record in records}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    judges = Judges()
    for picture in options.pictures:
        rgb = load_rgb(ASSETS / "data" / "kodak" / f"{picture}.png")
        crop = centre(rgb, options.crop)
        for model in options.models:
            for aim in options.aims:
                if (picture, model, aim, options.crop) in have:
                    continue
                measured = measure(crop, model, aim, options.threads, judges)
                record = {"picture": picture, "model": model, "aim": aim, "crop": options.crop, **measured}
                print(record, file=sys.stderr, flush=True)
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
                records.append(record)
    mine = [record for record in records if record["crop"] == options.crop]
    budget = _BYTES * options.crop**2 // 512**2
    title = f"## Effort 9: Kodak centre crops of {options.crop}×{options.crop}, at most {budget:,} bytes"
    options.out.write_text(f"{title}\n\n{table(mine)}", "utf-8")


if __name__ == "__main__":
    main()
