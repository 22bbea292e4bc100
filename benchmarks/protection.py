"""What becomes of faces and text, without protection and with it? ``python -m benchmarks.protection``.

Pictures and their regions: :mod:`benchmarks.subjects`. Sizes are bytes at 512x512, in proportion to the
area. For every picture, size and kind of protection: bytes; LPIPS (AlexNet) and PSNR of the regions; the
distance of the embeddings of each face, and the share of errors in the letters of each line
(:mod:`benchmarks.readers`); and LPIPS of the rest, of pictures that have the original's pixels in the
regions.

The same files tell whether the invention map knows what a reader reads differently: the scores of the
regions are compared between those that are read as in the original and those that are not.

Results: results/truth-regions.jsonl, written picture by picture, so that an interrupted run goes on where
it was, and results/truth-regions.md. Needs what :mod:`benchmarks.readers` names, and the photographs and
judges of ``CALOTYPE_ASSETS``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from benchmarks.judges import Judges
from benchmarks.ledger import fingerprint
from benchmarks.pictures import RESULTS
from benchmarks.readers import SAME_PERSON, FaceReader, TextReader, character_errors
from benchmarks.subjects import Subject, face_subjects, text_subjects
from calotype.container import ChunkType, parse_file
from calotype.fidelity import load_calibration, measure_fidelity
from calotype.fidelity.statistics import BLOCK
from calotype.limits import ANY_SIZE
from calotype.models import TextBox, load_features, load_text_finder

__all__ = ["SIZES", "character_error_rate", "main", "rank_auc", "report"]

SIZES = (5000, 2500, 1250)
_LEGIBLE = 12
"""The size of letters from which on the target for text holds."""

_SMALLEST = 64
"""The shortest side in pixels of what LPIPS is measured on."""

_SMALL_FACE = 40
"""The height in pixels below which faces are small."""

_MISREAD, _READ = 0.34, 0.0
"""The shares of wrong letters above which a line is read differently, and up to which it is read alike."""

_KEPT_FACE = 0.45
"""The distance of embeddings below which a face counts as kept."""

Row = dict[str, Any]


class Bench:
    """All that measures, each loaded once."""

    def __init__(self) -> None:
        self.codec = calotype.Codec(threads=1)
        self.judges, self.text, self.face = Judges(), TextReader(), FaceReader()
        self.finder = load_text_finder(1)
        self._features = load_features(load_calibration().activations, 1)

    def subjects(self) -> list[Subject]:
        """Returns every picture."""
        return [*face_subjects(), *text_subjects(self.text, self.finder)]

    def measured(self, subject: Subject, size: int, protect: str) -> Row:
        """Returns the figures of one file."""
        original = subject.rgb
        budget = size * original.shape[0] * original.shape[1] // 512**2
        data = self.codec.encode(original, target_size=budget, protect=protect)
        decoded = np.asarray(self.codec.decode(data, keep_metadata=False).convert("RGB"))
        fidelity = measure_fidelity(original, decoded, self._features)
        scores = np.maximum(fidelity.invented, fidelity.lost)
        rest_original, rest_decoded = original, decoded.copy()
        for box in subject.boxes:
            rest_decoded[_area(box)] = original[_area(box)]
        regions = []
        for face in subject.faces:
            place = self.face.place(original, face.box)
            pair = [self.face.embed(rgb, place) for rgb in (original, decoded)]
            distance = float(np.linalg.norm(pair[0] - pair[1]))
            regions.append(
                {"kind": face.kind, "distance": distance} | self._of_box(subject, decoded, face.box, scores)
            )
        for line in subject.lines:
            errors = character_errors(self.text.read(decoded, line.box)[0], line.text)
            letters = len("".join(line.text.split()))
            regions.append(
                {"kind": "text", "letters": letters, "errors": min(errors, letters), "size": line.size}
                | self._of_box(subject, decoded, line.box, scores)
            )
        return {
            "bytes": len(data),
            "patches": len(parse_file(data, limits=ANY_SIZE).chunk(ChunkType.PATCHES) or b""),
            "rest": self.judges.lpips_alex(rest_original, rest_decoded),
            "regions": regions,
        }

    def _of_box(
        self, subject: Subject, decoded: NDArray[np.uint8], box: TextBox, scores: NDArray[np.float32]
    ) -> Row:
        """Returns LPIPS, PSNR and the largest score of blocks in a box."""
        left, top, width, height = box
        area = _area(box)
        error = float(((subject.rgb[area].astype(np.float64) - decoded[area]) ** 2).mean())
        blocks = scores[
            top // BLOCK : -(-(top + height) // BLOCK), left // BLOCK : -(-(left + width) // BLOCK)
        ]
        wide = _area(_at_least(box, subject.rgb.shape))
        return {
            "height": height,
            "lpips": self.judges.lpips_alex(subject.rgb[wide].copy(), decoded[wide].copy()),
            "psnr": 10 * float(np.log10(255**2 / max(error, 0.01))),
            "score": float(blocks.max()),
            "mean score": float(blocks.mean()),
        }


def _area(box: TextBox) -> tuple[slice, slice]:
    left, top, width, height = box
    return slice(top, top + height), slice(left, left + width)


def _at_least(box: TextBox, shape: tuple[int, ...]) -> TextBox:
    """Returns a box around ``box``, within the picture, whose sides are long enough for LPIPS."""
    sides = []
    for start, length, whole in ((box[0], box[2], shape[1]), (box[1], box[3], shape[0])):
        wanted = min(max(length, _SMALLEST), whole)
        sides.append((min(max(start - (wanted - length) // 2, 0), whole - wanted), wanted))
    (left, width), (top, height) = sides
    return left, top, width, height


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    bench = Bench()
    path = options.results / "truth-regions.jsonl"
    weights = fingerprint()
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    rows = [row for row in map(json.loads, lines) if row["weights"] == weights]
    done = {(row["picture"], row["size"], row["protect"]) for row in rows}
    for subject in bench.subjects():
        kind = "faces" if subject.faces else "text"
        if kind not in options.kinds or not any(part in subject.name for part in options.pictures):
            continue
        for size in options.sizes:
            for protect in ("none", kind):
                key = subject.name, size, protect
                if key in done or protect not in options.protect:
                    continue
                row = bench.measured(subject, size, protect)
                named = {"picture": subject.name, "group": subject.group, "size": size, "protect": protect}
                rows.append({"weights": weights} | named | row)
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        print(subject.name, file=sys.stderr, flush=True)
    text = report(rows)
    print(text)
    (options.results / "truth-regions.md").write_text(text, "utf-8")


def character_error_rate(rows: Sequence[Mapping[str, Any]], smallest: int = 0, largest: int = 1000) -> float:
    """Returns errors / letters of the lines whose letters are of a size from ``smallest`` to ``largest``.

    Of a line whose size is unknown, two thirds of the box's height stand for it.
    """
    lines = [
        line
        for row in rows
        for line in row["regions"]
        if line["kind"] == "text" and smallest <= (line["size"] or line["height"] * 2 // 3) <= largest
    ]
    letters = sum(line["letters"] for line in lines)
    return float("nan") if not letters else sum(line["errors"] for line in lines) / letters


def rank_auc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Returns the chance that a value inside is larger than one outside; equal ones count half."""
    pairs = np.subtract.outer(np.array(inside), np.array(outside))
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2) if pairs.size else float("nan")


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page of results."""
    pictures = len({row["picture"] for row in rows})
    lines = [
        "# Faces and text, with protection and without\n",
        f"`python -m benchmarks.protection`, calotype {calotype.__version__}, weights {rows[0]['weights']}: "
        f"{pictures} pictures. Sizes are bytes at 512×512, in proportion to the area. LPIPS with AlexNet.\n",
        *_text_table(rows),
        *_face_table(rows),
        *_map_table(rows),
    ]
    return "\n".join(lines) + "\n"


def _cases(
    rows: Sequence[Mapping[str, Any]], group: str
) -> Iterator[tuple[int, str, list[Mapping[str, Any]]]]:
    """Yields (size, protection, rows) of a group, of the pictures that were measured with all protections."""
    for size in SIZES:
        chosen = [row for row in rows if row["group"] == group and row["size"] == size]
        by_mode = {
            mode: {row["picture"]: row for row in chosen if row["protect"] == mode}
            for mode in ("none", "faces", "text")
        }
        modes = [mode for mode, pictures in by_mode.items() if pictures]
        common = set.intersection(*(set(by_mode[mode]) for mode in modes)) if modes else set()
        for mode in modes:
            yield size, mode, [by_mode[mode][name] for name in sorted(common)]


def _table(
    rows: Sequence[Mapping[str, Any]],
    groups: Sequence[str],
    columns: Sequence[str],
    figures: Callable[[Sequence[Mapping[str, Any]]], list[str]],
) -> Iterator[str]:
    """Yields a table with a line for each group, size and protection: ``figures`` and what they cost."""
    costs = (
        "number",
        "LPIPS of regions",
        "PSNR of regions",
        "LPIPS of the rest",
        "change",
        "bytes",
        "of patches",
    )
    names = ("pictures", "size", "protection", *columns, *costs)
    yield f"| {' | '.join(names)} |"
    yield "|" + " --- | ---: | --- |" + " ---: |" * (len(names) - 3)
    for group in groups:
        unprotected = float("nan")
        for size, mode, chosen in _cases(rows, group):
            rest = float(np.mean([row["rest"] for row in chosen]))
            unprotected = rest if mode == "none" else unprotected
            change = "" if mode == "none" else f"{100 * (rest / unprotected - 1):+.1f} %"
            regions = [region for row in chosen for region in row["regions"]]
            cells = [
                *(group, f"{size:,}", mode, *figures(chosen), f"{len(chosen)}"),
                f"{np.mean([region['lpips'] for region in regions]):.3f}",
                f"{np.mean([region['psnr'] for region in regions]):.1f}",
                *(f"{rest:.4f}", change),
                *(f"{np.mean([row[name] for row in chosen]):,.0f}" for name in ("bytes", "patches")),
            ]
            yield f"| {' | '.join(cells)} |"
    yield ""


def _text_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Text\n"
    yield (
        "Wrong letters, in per cent of the letters, by the size of the letters in pixels: the Levenshtein "
        "distance of what the recogniser reads and what is written.\n"
    )
    ranges = ((0, _LEGIBLE - 1), (_LEGIBLE, 1000), (_LEGIBLE, 16), (17, 1000))

    def errors(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
        rates = [character_error_rate(chosen, *bounds) for bounds in ranges]
        return [f"{100 * rate:.0f}" if rate == rate else "–" for rate in rates]

    columns = ("below 12", "12 and more", "12 to 16", "above 16")
    yield from _table(rows, ("drawn text", "signs", "page"), columns, errors)


def _face_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Faces\n"
    yield (
        "The distance of dlib's embeddings of a face in the original and in the decoded picture; from "
        f"{SAME_PERSON} on they are taken for two persons.\n"
    )

    def distances(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
        faces = [region for row in chosen for region in row["regions"]]
        values = np.array([face["distance"] for face in faces])
        small = [face["distance"] for face in faces if face["height"] < _SMALL_FACE]
        return [
            f"{values.mean():.3f}",
            f"{100 * (values >= SAME_PERSON).mean():.0f} %",
            f"{np.mean(small):.3f}" if small else "–",
        ]

    columns = ("distance", "taken for another", f"distance, faces below {_SMALL_FACE} px")
    yield from _table(rows, ("faces",), columns, distances)


def _map_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Does the invention map know?\n"
    yield (
        "AUC: the chance that a region that is read differently has a larger score than one that is read "
        "alike. A line is read differently if more than a third of its letters are wrong, and alike if none "
        f"is; a face from a distance of {SAME_PERSON} on, and below {_KEPT_FACE}. Beside it the same for the "
        "squared error as a score. Files with protection and without.\n"
    )
    yield (
        "| regions | size | read differently | read alike | AUC, largest score | AUC, mean score "
        "| AUC, squared error |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    measures: dict[str, Callable[[Mapping[str, Any]], bool | None]] = {"text": _misread, "faces": _changed}
    for kind, differs in measures.items():
        for size in SIZES:
            yield _map_row(rows, kind, (size,), differs)
        yield _map_row(rows, kind, SIZES, differs)
    yield ""


def _map_row(
    rows: Sequence[Mapping[str, Any]],
    kind: str,
    sizes: Sequence[int],
    differs: Callable[[Mapping[str, Any]], bool | None],
) -> str:
    regions = [
        region
        for row in rows
        if row["size"] in sizes and (row["group"] == "faces") == (kind == "faces")
        for region in row["regions"]
    ]
    groups = [[region for region in regions if differs(region) is value] for value in (True, False)]
    aucs = [
        rank_auc(*([value(region) for region in group] for group in groups))
        for value in (lambda r: r["score"], lambda r: r["mean score"], lambda r: -r["psnr"])
    ]
    name = f"{sizes[0]:,}" if len(sizes) == 1 else "all"
    cells = [f"{auc:.2f}" if auc == auc else "–" for auc in aucs]
    return f"| {kind} | {name} | {len(groups[0])} | {len(groups[1])} | {' | '.join(cells)} |"


def _misread(line: Mapping[str, Any]) -> bool | None:
    """Returns whether a line is read differently; None if it is neither read alike."""
    share = line["errors"] / line["letters"]
    return True if share > _MISREAD else False if share <= _READ else None


def _changed(face: Mapping[str, Any]) -> bool | None:
    """Returns whether a face is taken for another; None if it is not clear."""
    return True if face["distance"] >= SAME_PERSON else False if face["distance"] < _KEPT_FACE else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.protection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--protect", nargs="*", default=["none", "faces", "text"], help="of these only")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="these only")
    parser.add_argument("--kinds", nargs="*", default=["faces", "text"], help="pictures of these only")
    parser.add_argument("--pictures", nargs="*", default=[""], help="those with these parts of names only")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    main()
