"""How well the scores of ``calotype verify`` find planted edits: ``python -m benchmarks.truth``.

The edits (:mod:`benchmarks.planted`) are in centre crops of 384x384 of held-out photographs and of the
samples: an object replaced, a sign's text changed or removed, a face swapped, a window added or removed.
There are three ways to put an edit into the picture. "coded" decodes a file of the edited picture; "coded,
half" does the same with an edit of half the contrast; "equal error" puts the edit into the decoded picture of
a file of the original, with the squared error of its surroundings. Files have one of two qualities.

There are three figures for every kind of edit. The AUC is the probability that a block of an edit has a
larger score than a block of the same pictures without an edit. It is also given among blocks whose pixel
error differs by at most 1 dB. The third is the share of edits with a block among the 5 % of the picture with
the largest scores. The pixel error of blocks as a score is given for comparison.

The results are in results/truth.jsonl, which is written picture by picture, so that a second run continues an
interrupted one, and in results/truth.md. ``--calibrate`` fits the constants of the scores to other
photographs and measures nothing. The photographs are those of ``CALOTYPE_ASSETS``; without them only the
samples are measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from benchmarks.ledger import fingerprint
from benchmarks.pictures import POOLS, RESULTS, centre, load_rgb, sample_photographs
from benchmarks.planted import KINDS, Edit, at_equal_error, face_scenes, faded, scenes
from benchmarks.truth_calibration import CALIBRATION, calibrate, covered, decode_rgb, near
from calotype.fidelity.calibration import load_calibration
from calotype.fidelity.statistics import BLOCK, compare_activations
from calotype.models import FeatureNetwork, load_features
from calotype.models.tiling import pixels_to_unit_range

__all__ = ["WAYS", "auc", "judged", "main", "report"]

SIDE = 384
QUALITIES = (50, 25)
WAYS = ("coded", "coded, half", "equal error")
TOP = 0.05
_EQUAL_DB, _FEWEST_EQUAL = 1.0, 5
_SCORES, _ERRORS = np.linspace(0, 1, 101), np.linspace(-10, 45, 111)
"""The edges of the histograms' bins, of scores and of errors in dB."""

_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_HEADS = (
    "edit",
    "how",
    "edits",
    "AUC",
    "AUC at equal pixel error",
    "edits in the top 5 %",
    "by pixel error: AUC",
    "top 5 %",
)
_EFFORT = 3
"""The effort of the encoder: its closed loop and its rate control do not matter here."""

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    codec = calotype.Codec(threads=1)
    if options.calibrate:
        calibrate(options.count or 14, codec)
        return
    path = options.results / "truth.jsonl"
    key = {"weights": fingerprint(), "calibration": _calibration_name()}
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    rows = [row for row in map(json.loads, lines) if key.items() <= row.items()]
    done = {row["scene"] for row in rows}
    network = load_features(load_calibration().activations, 1)
    for number, (name, edits) in enumerate(_edited_scenes(options.count or 12)):
        if name in done:
            continue
        for row in judged(edits, QUALITIES[number // 2 % len(QUALITIES)], codec, network):
            rows.append(key | {"scene": name} | row)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        print(name, file=sys.stderr, flush=True)
    text = report(rows)
    print(text)
    (options.results / "truth.md").write_text(text, "utf-8")


def _edited_scenes(count: int) -> Iterator[tuple[str, list[Edit]]]:
    """Yields the edits of each scene with its name: those of the samples, of photographs, and of faces."""
    pool = POOLS["held-out"](SIDE)
    photographs = [*sample_photographs(SIDE), *pool[:: max(1, len(pool) // count)][:count]]
    faces = face_scenes({path.name: path for path in pool}, 3, SIDE, count)
    for number, (path, face) in enumerate(zip_longest(photographs, faces)):
        if path is not None:
            rgb, other = (centre(load_rgb(file), SIDE) for file in (path, photographs[number - 1]))
            yield path.name, scenes(rgb, other, number)
        if face is not None:
            yield f"face {number}", [face]


def judged(
    edits: Sequence[Edit], quality: int, codec: calotype.Codec, network: FeatureNetwork
) -> Iterator[Row]:
    """Yields for each edit of one original, and each way, the figures of blocks that are not at its edge.

    ``scores`` and ``errors`` (dB) have ``inside`` and ``outside``, counts of blocks within the edit and
    without any by value; ``top``, whether a block of the edit is among the 5 % with the largest values; and
    ``equal``, the AUC among blocks of nearly the same error. ``right`` is the share of the blocks of an edit
    that adds or removes whose larger score is the right one.
    """
    calibration = load_calibration()
    original = edits[0].original
    seen = network.features(pixels_to_unit_range(original))

    def coded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return decode_rgb(codec, codec.encode(rgb, quality=quality, effort=_EFFORT))

    of_original = coded(original)
    for edit, way in product(edits, WAYS):
        if way == "equal error":
            picture = at_equal_error(edit, of_original)
        else:
            picture = coded(faded([edit], 0.5 if way.endswith("half") else 1.0))
        shown = network.features(pixels_to_unit_range(picture))
        scores = calibration.scores(compare_activations(seen, shown, calibration.scales))
        yield {"kind": edit.kind, "way": way, "quality": quality} | _figures(edit, picture, scores)


def _figures(edit: Edit, picture: NDArray[np.uint8], scores: NDArray[np.float32]) -> Row:
    """Returns the figures of a ``picture`` with an edit whose blocks have the ``scores`` float32[2, h, w]."""
    errors = _block_errors(edit.original, picture)
    invented, lost = scores
    larger = np.maximum(invented, lost)
    inside, outside = covered(edit.mask), ~near(edit.mask)
    row: Row = {}
    for name, values, edges in (("scores", larger, _SCORES), ("errors", errors, _ERRORS)):
        row[name] = {
            "inside": np.histogram(np.clip(values[inside], edges[0], edges[-1]), edges)[0].tolist(),
            "outside": np.histogram(np.clip(values[outside], edges[0], edges[-1]), edges)[0].tolist(),
            "top": bool(values[inside].max() >= np.quantile(values, 1 - TOP)),
            "equal": _auc_at_equal_error(values, errors, inside, outside),
        }
    wanted = {"window added": invented, "window removed": lost, "text removed": lost}.get(edit.kind)
    if wanted is not None:
        row["right"] = float((wanted[inside] >= larger[inside]).mean())
    return row


def auc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Returns the probability that a value inside is larger than one outside; equal values count half.

    ``inside`` and ``outside`` are histograms with the same bins, from small to large values.
    """
    below = np.cumsum(outside) - outside / 2
    return float((inside * below).sum() / (inside.sum() * outside.sum()))


def _auc_at_equal_error(
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    inside: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> float | None:
    """Returns the mean AUC of the edit's blocks, each among blocks of nearly its error; None if there are too
    few such blocks."""
    aucs = []
    for value, error in zip(values[inside], errors[inside], strict=True):
        equal = values[outside & (np.abs(errors - error) <= _EQUAL_DB)]
        if len(equal) >= _FEWEST_EQUAL:
            aucs.append(((equal < value).mean() + (equal <= value).mean()) / 2)
    return round(float(np.mean(aucs)), 4) if aucs else None


def _block_errors(original: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the squared error of each block float64[h, w], in dB."""
    height, width = (side // BLOCK for side in original.shape[:2])
    squares = (original.astype(np.float64) - picture) ** 2
    means = squares.mean(-1).reshape(height, BLOCK, width, BLOCK).mean((1, 3))
    decibels: NDArray[np.float64] = 10 * np.log10(means + 0.1)
    return decibels


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page of results."""
    lines = [
        "# What the invention map finds\n",
        f"`python -m benchmarks.truth`, calotype {calotype.__version__}, weights {rows[0]['weights']}, "
        f"calibration {rows[0]['calibration']}: {len({row['scene'] for row in rows})} scenes of "
        f"{SIDE}×{SIDE}, qualities {' and '.join(map(str, QUALITIES))}.\n",
        f"| {' | '.join(_HEADS)} |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        for way in WAYS:
            chosen = [row for row in rows if (row["kind"], row["way"]) == (kind, way)]
            if not chosen:
                continue
            cells = [kind, way, str(len(chosen))]
            for name in ("scores", "errors"):
                cells += [f"{auc(*_pooled(chosen, name)):.3f}"]
                equal = [row[name]["equal"] for row in chosen if row[name]["equal"] is not None]
                if name == "scores":
                    cells.append(f"{np.mean(equal):.3f}" if equal else "")
                cells.append(f"{100 * np.mean([row[name]['top'] for row in chosen]):.0f} %")
            lines.append(f"| {' | '.join(cells)} |")
    right = [row["right"] for row in rows if "right" in row]
    lines.append(
        f"\nBlocks of what was added or removed, of which the larger score is the right one, "
        f"invented or lost: {100 * np.mean(right):.0f} %."
    )
    lines.append("\nThe ROC curves: blocks whose score exceeds a threshold, in per cent.\n")
    lines.append(f"| threshold | without edit | {' | '.join(f'{kind}, coded' for kind in KINDS)} |")
    lines.append(f"| ---: | ---: |{' ---: |' * len(KINDS)}")
    coded = [row for row in rows if row["way"] == "coded"]
    for threshold in _THRESHOLDS:
        groups = [_pooled(coded, "scores")[1]]
        groups += [_pooled([row for row in coded if row["kind"] == kind], "scores")[0] for kind in KINDS]
        above = [counts[_SCORES[:-1] >= threshold].sum() / max(counts.sum(), 1) for counts in groups]
        lines.append(f"| {threshold} | {' | '.join(f'{100 * share:.1f}' for share in above)} |")
    return "\n".join(lines) + "\n"


def _pooled(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the counts of blocks inside and outside of the edits, over all rows."""
    size = len({"scores": _SCORES, "errors": _ERRORS}[name]) - 1
    inside, outside = (
        np.sum([row[name][place] for row in rows] or [[0] * size], 0) for place in ("inside", "outside")
    )
    return inside, outside


def _calibration_name() -> str:
    import hashlib

    return hashlib.sha256(CALIBRATION.read_bytes()).hexdigest()[:8]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, metavar="N", help="number of photographs, and of faces")
    parser.add_argument("--calibrate", action="store_true", help="fit the constants, and measure nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    main()
