"""The tables of beginnings of files and of thumbnails, with metrics that only compare means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from benchmarks import progressive, thumbnails
from benchmarks.pictures import SAMPLE, load_rgb


class Means:
    """Stands in for the metrics."""

    def __init__(self, *_: object) -> None:
        self.pairs = 0

    def __call__(self, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> dict[str, float]:
        self.pairs += 1
        assert reference.shape == picture.shape
        value = abs(float(reference.mean()) - float(picture.mean()))
        return {"lpips_alex": value, "lpips_vgg": value, "dists": value}


class Codec(calotype.Codec):
    """Encodes and decodes with the small model."""

    def encode(self, image: object, *_: object, **fields: object) -> bytes:
        return super().encode(image, model="tiny", effort=1, quality=95, scale=1)  # type: ignore[arg-type]

    def decode(self, data: bytes, *_: object, **fields: object) -> object:
        return super().decode(data, model="tiny", **fields)  # type: ignore[arg-type,call-overload]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two pictures in the place of either pool; codec, judges and sizes of tests."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    photo = load_rgb(SAMPLE)
    for path, corner in zip(paths, (0, 100), strict=True):
        Image.fromarray(photo[corner : corner + 96, corner : corner + 96]).save(path)
    for module in (progressive, thumbnails):
        monkeypatch.setattr(module, "SIDE", 96)
        monkeypatch.setattr(module, "POOLS", {"held-out": lambda _: paths[:1], "kodak": lambda _: paths[1:]})
        monkeypatch.setattr(module, "Judges", Means)
        monkeypatch.setattr(module.calotype, "Codec", Codec)
    monkeypatch.setattr(progressive, "Lpips", lambda *_: lambda a, b: 0.25)
    monkeypatch.setattr(progressive, "SAMPLE", paths[0])
    return paths


def test_beginnings_are_measured_once_and_the_page_is_written(
    pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, strip = tmp_path / "results", tmp_path / "images" / "strip.webp"
    arguments = ["--bytes", "5000", "--threads", "1", "--results", str(results), "--strip", str(strip)]
    progressive.main([*arguments, "--count", "1"])
    assert not (results / "progressive.md").exists() and not strip.exists()
    measured = capsys.readouterr()
    assert "kodak, 1 of 1: b.png" in measured.err
    monkeypatch.setattr(progressive, "measured", None)  # an interrupted run goes on where it was
    progressive.main(arguments)
    page = (results / "progressive.md").read_text("utf-8")
    assert capsys.readouterr().out == page + "\n"
    rows = [line for line in page.splitlines() if line.startswith(("| 10 %", "| 100 %"))]
    assert len(rows) == 4
    assert page.count("| 0.250 |") == 10
    with Image.open(strip) as image:
        assert image.size == (5 * 264 - 8, 256 + 24)


def test_more_of_a_file_has_more_bytes(pictures: list[Path]) -> None:
    kit = progressive.Kit(1)
    with pytest.warns(calotype.PartialPictureWarning):
        figures = progressive.measured(load_rgb(pictures[0]), 5000, kit)
    sizes = [figures[f"5000-{share}.bytes"] for share in progressive.SHARES]
    assert sizes == sorted(sizes) and sizes[0] == int(sizes[-1]) // 10
    assert figures["5000-100.psnr"] > figures["5000-10.psnr"]
    assert isinstance(kit.judges, Means) and kit.judges.pairs == 5


def test_thumbnails_are_compared_with_the_original(
    pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thumbnails.main(["--count", "1", "--out", str(tmp_path / "thumbnails.md")])
    page = (tmp_path / "thumbnails.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith(("| 50", "| 20"))]
    assert len(rows) == 12
    assert "2 centre crops" in page and "1/8: " in page and ", 1/16: " in page
    assert capsys.readouterr().out == page + "\n"
