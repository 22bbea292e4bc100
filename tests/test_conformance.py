"""The conformance suite, run by this decoder. tests/browser runs it in the other one."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.latents import log_step_map
from calotype.models import list_models

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scripts import make_conformance  # noqa: E402
from scripts.make_conformance import LIMITS, error_of, integers_of, sha256  # noqa: E402

FOLDER = ROOT / "conformance"
SUITE: dict[str, Any] = json.loads((FOLDER / "suite.json").read_text("utf-8"))
FILES = {case["name"]: ROOT / case["file"] for case in SUITE["files"]}
NETWORKS = {info.name: info.sha256.get("decoder") for info in list_models()}


def named(case: dict[str, Any]) -> str:
    return f"{case['name']}-{case['bytes']}" if "bytes" in case else str(case["name"])


@pytest.mark.parametrize("case", SUITE["files"], ids=named)
def test_integers_and_latents_are_exact(case: dict[str, Any]) -> None:
    parsed = parse_file(FILES[case["name"]].read_bytes(), limits=LIMITS, strict=True)
    integers, arrived = integers_of(parsed)
    assert list(integers.shape) == case["shape"]
    assert arrived == integers.size
    assert sha256(integers.astype("<i2").tobytes()) == case["integers"]
    assert sha256(decode_latents(parsed).latents.astype("<f4").tobytes()) == case["latents"]
    assert integers.reshape(-1).tolist() == case.get("values", integers.reshape(-1).tolist())
    assert ("values" in case) == (integers.size <= make_conformance.LISTED)


@pytest.mark.parametrize("case", SUITE["prefixes"], ids=named)
def test_prefixes_are_exact(case: dict[str, Any]) -> None:
    data = FILES[case["name"]].read_bytes()[: case["bytes"]]
    parsed = parse_file(data, limits=LIMITS, partial=True)
    integers, arrived = integers_of(parsed)
    assert arrived == case["arrived"]
    assert sha256(integers.astype("<i2").tobytes()) == case["integers"]
    decoded = decode_latents(parsed)
    assert sha256(decoded.latents.astype("<f4").tobytes()) == case["latents"]
    log_step = log_step_map(decoded.levels, decoded.missing).reshape(-1)
    np.testing.assert_allclose(log_step, case.get("log_step", log_step), atol=SUITE["tolerance"]["log_step"])


@pytest.mark.parametrize("case", SUITE["hostile"], ids=named)
def test_hostile_files_are_refused(case: dict[str, Any]) -> None:
    data = (FOLDER / "hostile" / f"{case['name']}.calo").read_bytes()
    assert error_of(data) == case["error"]
    assert error_of(data, strict=True) == case["strict"]


@pytest.mark.parametrize("case", SUITE["files"], ids=named)
def test_pixels_are_within_the_tolerance(case: dict[str, Any]) -> None:
    for model, picture in case["pixels"].items():
        assert NETWORKS[model] == SUITE["networks"][model], (
            "new weights: run python -m scripts.make_conformance"
        )
        image = calotype.decode(FILES[case["name"]], model=model, keep_metadata=False).convert("RGBA")
        with Image.open(FOLDER / picture) as reference:
            difference = np.asarray(image).astype(float) - np.asarray(reference)
        tolerance = case.get("tolerance", SUITE["tolerance"])
        assert np.abs(difference).max() <= tolerance["peak"]
        assert np.sqrt((difference**2).mean()) <= tolerance["rmse"]


@pytest.mark.parametrize("case", [case for case in SUITE["files"] if "without_patches" in case], ids=named)
def test_patches_are_left_out_where_the_suite_says_how_that_looks(case: dict[str, Any]) -> None:
    data = make_conformance.without_patches(FILES[case["name"]].read_bytes())
    for model, picture in case["without_patches"].items():
        image = calotype.decode(data, model=model, keep_metadata=False).convert("RGBA")
        with Image.open(FOLDER / picture) as reference, Image.open(FOLDER / case["pixels"][model]) as patched:
            difference = np.asarray(image).astype(float) - np.asarray(reference)
            assert np.abs(np.asarray(reference).astype(float) - np.asarray(patched)).max() > 16
        assert np.abs(difference).max() <= SUITE["tolerance"]["peak"]


def test_the_suite_covers_the_golden_files_and_nothing_lies_about() -> None:
    assert make_conformance.golden_files() == FILES
    assert dict(make_conformance.hostile_files()) == {
        path.stem: path.read_bytes() for path in (FOLDER / "hostile").iterdir()
    }
    pictures = {
        picture
        for case in SUITE["files"]
        for pixels in (case["pixels"], case.get("without_patches", {}))
        for picture in pixels.values()
    }
    assert {f"pixels/{path.name}" for path in (FOLDER / "pixels").iterdir()} == pictures
    for picture in pictures:
        with Image.open(io.BytesIO((FOLDER / picture).read_bytes())) as image:
            assert image.mode == "RGBA"
