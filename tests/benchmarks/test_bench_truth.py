"""Planted edits, and the table of those that the scores find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from benchmarks import truth, truth_calibration
from benchmarks.pictures import SAMPLE, load_rgb
from benchmarks.planted import KINDS, at_equal_error, face_scenes, faded, scenes
from calotype.fidelity.calibration import Calibration

SIDE = 256


class Codec(calotype.Codec):
    """Encodes and decodes with the small model."""

    def encode(self, image: object, *_: object, **fields: object) -> bytes:
        return super().encode(image, model="tiny", effort=1, quality=95)  # type: ignore[arg-type]

    def decode(self, data: bytes, *_: object, **fields: object) -> object:
        return super().decode(data, model="tiny", **fields)  # type: ignore[arg-type,call-overload]


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return load_rgb(SAMPLE)[:SIDE, 200 : 200 + SIDE]


def test_edits_of_a_scene_change_one_thing_each(photo: NDArray[np.uint8]) -> None:
    edits = scenes(photo, photo[::-1], 3)
    assert [edit.kind for edit in edits] == [kind for kind in KINDS if kind != "face"]
    for edit in edits:
        assert edit.mask.any() and edit.mask.mean() < 0.2
        changed = (edit.original != edit.edited).any(-1)
        assert np.abs(edit.original.astype(int) - edit.edited)[~edit.mask].max() <= 8
        assert changed[edit.mask].any()
    assert not (edits[0].mask & edits[1].mask).any()
    both = faded(edits[:2])
    assert np.array_equal(both[edits[1].mask], edits[1].edited[edits[1].mask])
    half = np.abs(faded(edits[:1], 0.5).astype(float) - edits[0].original).sum()
    whole = np.abs(faded(edits[:1]).astype(float) - edits[0].original).sum()
    assert half == pytest.approx(whole / 2, rel=0.05)


def test_an_edit_of_equal_error(photo: NDArray[np.uint8]) -> None:
    (edit,) = scenes(photo, photo[::-1], 3)[:1]
    rng = np.random.default_rng(1)
    decoded = np.clip(edit.original + rng.normal(scale=8, size=photo.shape), 0, 255).astype(np.uint8)
    planted = at_equal_error(edit, decoded)
    squares = (planted.astype(float) - edit.original) ** 2
    assert np.array_equal(planted[~edit.mask], decoded[~edit.mask])
    assert squares[edit.mask].mean() == pytest.approx(squares[~edit.mask].mean(), rel=0.1)


def test_faces_come_from_photographs_whose_faces_are_known(photo: NDArray[np.uint8]) -> None:
    assert list(face_scenes({}, 1, SIDE, 3)) == []


def test_auc_of_known_values() -> None:
    assert truth.auc(np.array([0, 1, 0, 1]), np.array([1, 0, 1, 0])) == 0.75
    assert truth.auc(np.array([0, 1]), np.array([0, 2])) == 0.5


@pytest.mark.slow  # 3 s
def test_a_page_is_written_and_nothing_is_measured_twice(
    photo: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edits = [scenes(photo, photo[::-1], 3)[number] for number in (0, 3)]
    monkeypatch.setattr(truth, "_edited_scenes", lambda count: [("one", edits)])
    monkeypatch.setattr(calotype, "Codec", Codec)
    truth.main(["--results", str(tmp_path)])
    page = (tmp_path / "truth.md").read_text("utf-8")
    assert page == capsys.readouterr().out.removesuffix("\n")
    for way in truth.WAYS:
        assert f"| object | {way} | 1 |" in page
        assert f"| window added | {way} | 1 |" in page
    rows = (tmp_path / "truth.jsonl").read_text("utf-8")
    assert {json.loads(row)["way"] for row in rows.splitlines()} == set(truth.WAYS)
    monkeypatch.setattr(truth, "judged", None)
    truth.main(["--results", str(tmp_path)])
    assert (tmp_path / "truth.jsonl").read_text("utf-8") == rows


@pytest.mark.slow  # 3 s
def test_constants_are_fitted_and_can_be_read(
    photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for number, rgb in enumerate((photo, photo[::-1], photo[:, ::-1])):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(rgb).save(paths[-1])
    monkeypatch.setattr(truth_calibration, "SIDE", SIDE)
    monkeypatch.setattr(truth_calibration, "training_photographs", lambda side: paths)
    out = tmp_path / "calibration.json"
    truth_calibration.calibrate(2, Codec(threads=1), out)
    found = Calibration.from_dict(json.loads(out.read_text("utf-8")))
    channels = sum(len(mean) for mean, _ in found.scales)
    assert np.isfinite(found.change).all() and len(found.change) == 3 * channels + 5 * 3 + 1
    assert np.isfinite(found.direction).all() and len(found.direction) == 2 * 3
    graph = (truth_calibration.CALIBRATION.parents[1] / "models" / "weights").glob("pocket-*-encoder.onnx")
    assert found.activations == truth_calibration.last_activations(next(graph).read_bytes())
