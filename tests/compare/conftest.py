"""Small photographs, and a real report and stage page of them, made once with the tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from report_settings import RULES, SIZES

from calotype.compare import Row, write_report, write_stage_pages

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "astronaut.png"


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """uint8[192, 208, 3], a part of a real photograph."""
    with Image.open(SAMPLE) as image:
        return np.asarray(image.convert("RGB"))[40:232, 120:328].copy()


@pytest.fixture(scope="session")
def photos(photo: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files: one whose name needs escaping, one that is portrait and of odd size."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / "a <b> & 'c'.png", folder / "tall.png"]
    Image.fromarray(photo).save(paths[0])
    Image.fromarray(photo[:190, 20:197]).save(paths[1])
    return paths


@pytest.fixture(scope="session")
def report(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """(the folder of a report, its figures)."""
    out = tmp_path_factory.mktemp("report") / "report"
    return out, write_report(photos, out, sizes=SIZES, rules=RULES)


@pytest.fixture(scope="session")
def stages_page(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stage page."""
    out = tmp_path_factory.mktemp("stages") / "stages"
    write_stage_pages(photos[0], out, target_size=1500, model="tiny")
    return out
