"""Regions with faces and text, their figures and the tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import face_finder, protection
from benchmarks.pictures import SAMPLE, load_rgb
from benchmarks.readers import TextReader, character_errors
from benchmarks.subjects import SIZES, drawn_text, face_subjects, labelled_faces
from scripts import truth_pictures


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return load_rgb(SAMPLE)[:256, 128:384].copy()


@pytest.mark.parametrize(
    ("read", "text", "errors"),
    [("Pier 471", "pier471", 0), ("Pler 47", "Pier 471", 2), ("", "abc", 3), ("xabc", "abc", 1)],
)
def test_character_errors_are_edits_without_spaces_and_case(read: str, text: str, errors: int) -> None:
    assert character_errors(read, text) == errors


def test_drawn_text_lies_in_its_boxes(photo: NDArray[np.uint8]) -> None:
    subject = drawn_text("photo", photo, 0)
    assert sorted(line.size for line in subject.lines) == sorted(SIZES * 2)
    changed = (subject.rgb != photo).any(-1)
    for left, top, width, height in subject.boxes:
        assert changed[top : top + height, left : left + width].mean() > 0.1
        changed[top : top + height + 1, left : left + width + 1] = False  # a sign has a border
    assert not changed.any()


def test_labelled_faces_lie_in_the_samples() -> None:
    subjects = {subject.name: subject for subject in face_subjects()}
    assert subjects["astronaut.png"].boxes == [(181, 58, 88, 119)]
    assert subjects["grace_hopper.jpg"].rgb.shape == (512, 512, 3)
    assert {face.kind for faces in labelled_faces().values() for face in faces} == {
        "front",
        "profile",
        "small",
        "masked",
    }


def test_the_reader_reads_what_is_drawn(photo: NDArray[np.uint8]) -> None:
    if importlib.util.find_spec("rapidocr") is None:
        pytest.skip("rapidocr is not installed")
    reader = TextReader()
    subject = drawn_text("photo", photo, 0)
    largest = max(subject.lines, key=lambda line: line.size)
    assert character_errors(reader.read(subject.rgb, largest.box)[0], largest.text) <= 1
    assert reader.read(subject.rgb, (0, 0, 4, 4)) == ("", 0.0)


def test_faces_are_reduced_masked_and_darkened(photo: NDArray[np.uint8]) -> None:
    face = (53, 58, 88, 119)
    backdrop = np.full((256, 256, 3), 90, np.uint8)
    _, canvas, [(left, top, width, height)] = face_finder.reduced(photo, face, 24, backdrop)
    assert (width, height) == (18, 24)
    assert canvas[top : top + height, left : left + width].std() > 20
    assert (canvas[:60] == 90).all()
    _, mask, _ = face_finder.masked(photo, [face])
    assert np.array_equal(mask[:100], photo[:100])
    assert (mask[140:160, 80:110] != photo[140:160, 80:110]).any(-1).mean() > 0.9
    _, dark, _ = face_finder.darkened(photo, [face], 8, 0)
    assert dark.mean() < 0.5 * photo.mean()


def test_auc_counts_pairs() -> None:
    assert protection.rank_auc([2, 3], [1, 2]) == pytest.approx(0.875)
    assert np.isnan(protection.rank_auc([], [1.0]))


def row(group: str, protect: str, size: int, regions: list[dict[str, Any]]) -> dict[str, Any]:
    names = {"weights": "w", "picture": "p", "group": group, "size": size, "protect": protect}
    rest = 0.25 if protect == "none" else 0.255
    return names | {"bytes": size - 1, "patches": 40, "rest": rest, "regions": regions}


def test_the_tables_tell_errors_by_size_and_distances() -> None:
    common = {"lpips": 0.5, "psnr": 20.0, "height": 30, "score": 0.9, "mean score": 0.4}
    lines = [
        {"kind": "text", "size": size, "letters": 10, "errors": errors} | common
        for size, errors in ((10, 10), (12, 5), (24, 0))
    ]
    faces = [{"kind": "front", "distance": distance} | common for distance in (0.4, 0.7)]
    rows = [row("drawn text", mode, 5000, lines) for mode in ("none", "text")]
    rows.append(row("faces", "none", 5000, faces))
    assert protection.character_error_rate(rows, 12) == 0.25
    text = protection.report(rows)
    costs = "1 | 0.500 | 20.0 |"
    assert f"| drawn text | 5,000 | none | 100 | 25 | 50 | 0 | {costs} 0.2500 |  | 4,999 | 40 |" in text
    assert f"| drawn text | 5,000 | text | 100 | 25 | 50 | 0 | {costs} 0.2550 | +2.0 % | 4,999 | 40 |" in text
    assert f"| faces | 5,000 | none | 0.550 | 50 % | 0.550 | {costs} 0.2500 |  | 4,999 | 40 |" in text
    assert "| text | 5,000 | 4 | 2 | 0.50 | 0.50 | 0.50 |" in text


@pytest.mark.slow  # 3 s
def test_pictures_of_the_guide_stand_in_a_row(photo: NDArray[np.uint8]) -> None:
    class Codec(truth_pictures.calotype.Codec):
        def encode(self, image: object, **fields: object) -> bytes:
            return super().encode(image, model="tiny", effort=1, **fields)  # type: ignore[arg-type,call-overload]

    sheet, label = truth_pictures.sheet(photo, 5000, 0, 0, Codec(threads=1))
    assert sheet.width == 4 * 316 + 16
    assert "bytes, invention" in label


@pytest.mark.slow  # 8 s: it encodes 512x512 pixels
def test_everything_is_measured_of_one_file(tmp_path: Path) -> None:
    """Only where the judges and the readers are."""
    try:
        bench = protection.Bench()
    except (FileNotFoundError, ImportError) as error:
        pytest.skip(str(error))
    subject = next(subject for subject in face_subjects() if subject.name == "astronaut.png")
    found = bench.measured(subject, 1250, "none")
    assert found["bytes"] <= 1250
    (face,) = found["regions"]
    assert 0 < face["distance"] < 2 and 0 < face["lpips"] < 1 and 10 < face["psnr"] < 40
    assert 0 <= face["mean score"] <= face["score"] <= 1
