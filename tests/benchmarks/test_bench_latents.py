"""The benchmark of caches of latents."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.latents import measure, table
from benchmarks.pictures import RESULTS


def shown(latents: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture of three channels of the latents."""
    return np.clip(latents[:3].transpose(1, 2, 0) * 40 + 128, 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_finer_forms_have_smaller_errors() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, (4, 8, 8)).astype(np.float32)
    record = measure(np.cumsum(noise, 2), shown)
    names = ["float16 .npz", ".calo, quality 90", ".calo, quality 70", ".calo, quality 50"]
    errors = [record[name][1] for name in names]
    assert errors == sorted(errors) and errors[0] < 0.001
    sizes = [record[name][0] for name in names]
    assert sizes == sorted(sizes, reverse=True)
    assert record["float32 .npz"][1] < 1e-6


def test_the_page_is_that_of_the_records() -> None:
    lines = (RESULTS / "latents.jsonl").read_text("utf-8").splitlines()
    assert table([json.loads(line) for line in lines]) == (RESULTS / "latents.md").read_text("utf-8")
