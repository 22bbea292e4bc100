"""The parts of benchmarks.stable_diffusion that need no weights."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from benchmarks.stable_diffusion import Case, _text_shapes, seams, table
from benchmarks.stable_diffusion_worker import peak_memory
from calotype.models.stable_diffusion import fetched_model


def test_the_text_encoder_has_the_size_in_the_catalogue() -> None:
    source = fetched_model("sd-1.5")
    assert source is not None
    (part,) = (part for part in source.parts if part.name == "text_encoder")
    configs = files("calotype.models.stable_diffusion") / "configs"
    config = json.loads((configs / "text_encoder" / "config.json").read_text("utf-8"))
    assert sum(int(np.prod(shape)) for shape in _text_shapes(config).values()) == part.parameters


def test_seams_are_found_where_tiles_end() -> None:
    case = Case("decode", "float32", 512, 256)
    ramp = np.broadcast_to(np.arange(512, dtype=np.float32), (3, 4, 512))
    assert seams(ramp, case) == pytest.approx(1)
    broken = ramp.copy()
    broken[:, :, 8 * (16 + 4) :] += 50  # where the second of three tiles begins to count
    assert seams(broken, case) > 10


def test_peak_memory_is_that_of_this_process() -> None:
    before = peak_memory()
    block = np.ones(30_000_000)
    assert peak_memory() > max(before, block.nbytes) - 1


def test_the_table_has_a_row_for_each_case() -> None:
    measured = {"seconds": 1.25, "cpu": 2.5, "load": 0.1, "peak": 3000.0}
    tiled = measured | {"seams": 1.01, "seams_whole": 1.0, "difference": 0.034}
    text = table(
        [(Case("encode", "float32", 512, 512), measured), (Case("decode", "bfloat16", 512, 256), tiled)]
    )
    assert "| encode | float32 | 512² | 512 | 1.2 | 2.5 | 3,000 | - | - |" in text
    assert "| 1.010 (whole: 1.000) | 3.4 % |" in text
