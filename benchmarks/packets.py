"""Packets on a lossy link: ``python -m benchmarks.packets``.

Centre crops of Kodak pictures in files of 5,000 bytes are split into packets of at most 200 bytes. First the
quality of each picture is measured as a function of the number of its leading packets (``packets.jsonl``).
Then random losses are drawn, with repair packets for the whole file, or with a part of them for its head.
JPEG in SSDV's packets, within the same transmitted bytes, is measured for comparison.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import calotype
from benchmarks.pictures import ASSETS, POOLS, RESULTS, centre, load_rgb
from calotype.compare.metrics import available_metrics
from calotype.packets import read_packet, split
from calotype.packets.header import HEADER_SIZE

__all__ = ["HEADS", "LOSSES", "jpeg_figures", "known_packets", "main", "measure", "tables"]

BYTES, SIDE, MTU = 5000, 512, 200
LOSSES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
REDUNDANCIES = (0.3, 0.5, 1.0)
TRIALS = 10_000
HEADS = (
    (0.0, 0.0),
    *((size, repairs) for size in (0.05, 0.1, 0.125, 0.25) for repairs in (1 / 4, 1 / 3, 1 / 2)),
)
"""The head's fraction of the data packets and of the repair packets."""

_GRAPH = ASSETS / "models" / "lpips-squeeze" / "lpips_sq.onnx"
_SSDV_PACKET = 256
_SSDV_PAYLOADS = {"SSDV, normal mode": 205, "SSDV, no FEC": 237}
"""Bytes of JPEG scan data in a packet of SSDV, with and without its own Reed-Solomon code."""

Record = dict[str, Any]
Figures = Callable[[NDArray[np.uint8]], list[float]]
"""LPIPS-Sq and PSNR of a picture, against the original."""


def known_packets(
    data: int, head: int, head_repairs: int, repairs: int, loss: float, seed: int, trials: int = TRIALS
) -> NDArray[np.int64]:
    """Returns the number of leading data packets after each of ``trials`` random losses, int64[trials].

    ``data``, ``head_repairs`` and ``repairs`` packets are sent, and each is lost with the probability
    ``loss``. A block recovers as many data packets as repair packets of it arrive.
    """
    rng = np.random.default_rng(seed)
    sent = rng.random((trials, data + head_repairs + repairs)) >= loss
    known = sent[:, :data].copy()
    of_head = sent[:, data : data + head_repairs].sum(1)
    of_all = sent[:, data + head_repairs :].sum(1)
    if head:
        known[(~known[:, :head]).sum(1) <= of_head, :head] = True
    known[(~known).sum(1) <= of_all] = True
    return np.where(known.all(1), data, (~known).argmax(1))


def measure(name: str, rgb: NDArray[np.uint8], codec: calotype.Codec, threads: int | None) -> Record:
    """Returns the figures of a picture by the number of leading packets (grey for none), and of JPEG in
    SSDV.
    """
    metrics, _ = available_metrics(_GRAPH, threads)

    def figures(picture: NDArray[np.uint8]) -> list[float]:
        return [round(metrics[metric](rgb, picture), 4) for metric in ("lpips", "psnr")]

    file = codec.encode(rgb, target_size=BYTES)
    packets = split(file, MTU, 0)
    record: Record = {"picture": name, "bytes": len(file), "data": len(packets)}
    record["on air"] = len(packets[0])
    figures_of_counts = {0: figures(np.full_like(rgb, 128))}
    counts = [*range(1, 8), *range(8, len(packets), 3), len(packets)]
    for count in counts:
        message = b"".join(read_packet(packet)[1] for packet in packets[:count])
        begun = message[message.index(file[:6]) :][: len(file)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", calotype.PartialPictureWarning)
            try:
                figures_of_counts[count] = figures(codec.decode(begun, partial=True, as_array=True))
            except calotype.CalotypeError:  # There is not enough of the file for a picture.
                figures_of_counts[count] = figures_of_counts[0]
    steps = range(len(packets) + 1)
    record["curve"] = [
        [
            round(
                float(
                    np.interp(step, list(figures_of_counts), [pair[i] for pair in figures_of_counts.values()])
                ),
                4,
            )
            for step in steps
        ]
        for i in range(2)
    ]
    record["jpeg"] = {}
    on_air = 1.3 * len(packets) * len(packets[0])
    for mode, payload in _SSDV_PAYLOADS.items():
        count = int(on_air / _SSDV_PACKET)
        record["jpeg"][mode] = jpeg_figures(rgb, count, payload, figures)
    return record


def jpeg_figures(
    rgb: NDArray[np.uint8], packets: int, payload: int, figures: Figures
) -> dict[str, list[float]]:
    """Returns figures, by loss, of the best JPEG whose scan data fit into so many packets of SSDV.

    ``rgb`` uint8[H, W, 3] is scaled down to the size with the lowest LPIPS. Each packet carries an equal
    share of the blocks of 16x16 pixels, which are grey if the packet is lost: SSDV's packets name the first
    block that can be decoded by itself. JPEG's own headers, which SSDV leaves out, are not counted, and
    neither are the bytes by which each packet can be decoded by itself.
    """
    small = min(
        _small_jpegs(rgb, packets * payload), key=lambda small_jpeg: figures(_enlarged(small_jpeg, rgb))[0]
    )
    height, width = small.shape[0] // 16, small.shape[1] // 16
    owner = np.arange(height * width) * packets // (height * width)
    rng = np.random.default_rng(1)
    results = {}
    for loss in LOSSES:
        each = []
        for _ in range(1 if loss == 0 else 4):
            lost = (rng.random(packets) < loss)[owner].reshape(height, width)
            mask = lost.repeat(16, 0).repeat(16, 1)[..., None]
            each.append(figures(_enlarged(np.where(mask, np.uint8(128), small), rgb)))
        results[str(loss)] = [round(float(mean), 4) for mean in np.mean(each, 0)]
    return results


def _small_jpegs(rgb: NDArray[np.uint8], max_bytes: int) -> Iterator[NDArray[np.uint8]]:
    """Yields, for each size, the pixels of the best JPEG with at most ``max_bytes`` bytes of scan data."""
    picture = Image.fromarray(rgb)
    for side in (512, 384, 256, 192):
        best = None
        for quality in range(1, 96):
            content = io.BytesIO()
            scaled = picture.resize((side, side), Image.Resampling.LANCZOS)
            scaled.save(content, "JPEG", quality=quality, subsampling="4:2:0")
            if len(content.getvalue()) - content.getvalue().index(b"\xff\xda") > max_bytes:
                break
            best = content
        if best is not None:
            with Image.open(best) as image:
                yield np.asarray(image.convert("RGB"))


def _enlarged(small: NDArray[np.uint8], rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a picture at the size of ``rgb``."""
    size = rgb.shape[1], rgb.shape[0]
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.LANCZOS))


def tables(records: Sequence[Record]) -> str:
    """Returns the Markdown page: the curve, the losses for each redundancy and head, and JPEG."""
    data = records[0]["data"]
    curves = np.mean([_resampled(record["curve"], data) for record in records], 0)
    loss_names = " | ".join(f"{loss:.0%}" for loss in LOSSES)
    rule = " ---: |" * len(LOSSES)
    parts = [
        "# Packets\n",
        f"Means over {len(records)} Kodak pictures (centre crops of {SIDE}×{SIDE}, files of at most "
        f"{BYTES:,} bytes, {data} data packets of {records[0]['on air']} bytes). "
        f"Written by `python -m benchmarks.packets`; {TRIALS:,} random losses each.\n",
        "## The picture by the number of leading packets\n",
        "| packets | LPIPS-Sq | PSNR |\n| ---: | ---: | ---: |",
        *(
            f"| {count} | {curves[0][count]:.3f} | {curves[1][count]:.1f} |"
            for count in (0, 1, 2, 3, 5, 7, 11, 14, 20, data)
        ),
    ]
    for redundancy in REDUNDANCIES:
        repairs = int(np.ceil(redundancy * data - 1e-9))
        head_of = [f"\n## Redundancy {redundancy}: LPIPS-Sq by the loss\n"]
        rows = [f"| head | its repair packets | {loss_names} | whole file at 10 %, 30 % |"]
        rows.append(f"| ---: | ---: |{rule} ---: |")
        for size, share in HEADS:
            head, early = int(np.ceil(size * data)), round(share * repairs)
            quality, whole = [], {}
            for loss in LOSSES:
                known = known_packets(data, head, early, repairs - early, loss, seed=7)
                quality.append(f"{curves[0][known].mean():.3f}")
                whole[loss] = (known == data).mean()
            rows.append(
                f"| {head} of {data} | {early} of {repairs} | {' | '.join(quality)} "
                f"| {whole[0.1]:.1%}, {whole[0.3]:.1%} |"
            )
        parts += head_of + rows
    parts += [
        "\n## JPEG in SSDV's packets, within the bytes on the air of redundancy 0.3\n",
        f"| | metric | {loss_names} |\n| --- | --- |{rule}",
    ]
    for mode in records[0]["jpeg"]:
        for number, metric in enumerate(("LPIPS-Sq", "PSNR")):
            means = [
                np.mean([record["jpeg"][mode][str(loss)][number] for record in records]) for loss in LOSSES
            ]
            digits = (3, 1)[number]
            parts.append(f"| {mode} | {metric} | {' | '.join(f'{mean:.{digits}f}' for mean in means)} |")
    parts += _calotype_rows(data, curves)
    return "\n".join(parts) + "\n"


def _resampled(curve: Sequence[Sequence[float]], data: int) -> NDArray[np.float64]:
    """Returns a curve [metric, leading packets] for another number of packets."""
    steps = np.linspace(0, len(curve[0]) - 1, data + 1)
    return np.array([np.interp(steps, range(len(metric)), metric) for metric in curve])


def _calotype_rows(data: int, curves: NDArray[np.float64]) -> list[str]:
    """Returns Calotype's rows of the comparison with JPEG, for the default of :func:`split`."""
    packets = split(bytes(data * (MTU - HEADER_SIZE) - 100), MTU, 0.3)
    headers = [read_packet(packet)[0] for packet in packets]
    early = sum(header.head_repair for header in headers)
    repairs = len(packets) - headers[0].data - early
    rows = []
    for number, metric in enumerate(("LPIPS-Sq", "PSNR")):
        means = [
            curves[number][known_packets(data, headers[0].head, early, repairs, loss, seed=7)].mean()
            for loss in LOSSES
        ]
        digits = (3, 1)[number]
        rows.append(f"| Calotype | {metric} | {' | '.join(f'{mean:.{digits}f}' for mean in means)} |")
    return rows


def main(arguments: Sequence[str] | None = None, results: Path = RESULTS) -> int:
    """Measures the pictures that are missing and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=12, help="number of Kodak pictures")
    parser.add_argument("-j", "--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    file = results / "packets.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    records: Mapping[str, Record] = {record["picture"]: record for record in map(json.loads, lines)}
    codec = calotype.Codec(threads=options.threads)
    for path in POOLS["kodak"](SIDE)[: options.count]:
        if path.stem not in records:
            record = measure(path.stem, centre(load_rgb(path), SIDE), codec, options.threads)
            records = {**records, path.stem: record}
            print(path.stem, record["data"], record["curve"][0][:: max(1, record["data"] // 8)], flush=True)
            file.write_text("".join(json.dumps(records[name]) + "\n" for name in sorted(records)), "utf-8")
    (results / "packets.md").write_text(tables(list(records.values())), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
