"""The benchmark of a data set: continued runs, parallel work, summaries."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.compare import Rules, bench
from calotype.compare.bench import Settings, run_bench
from calotype.compare.codecs import PillowCodec
from calotype.compare.plot import plots_png
from calotype.compare.rows import Row, read_rows
from calotype.errors import CalotypeError, ModelError, OutOfMemoryError, OutputError, SourceError

JPEG = Settings(Rules((), ("jpeg",), threads=1), sizes=(20_000, 10_000))


@pytest.fixture
def folder(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    for name, part in (("a.png", photo), ("b.png", photo[:180, :180])):
        Image.fromarray(part).save(tmp_path / "set" / name)
    (tmp_path / "set" / "notes.txt").write_text("not a picture")
    return tmp_path / "set"


measure_anew = bench._measure_picture
known_rows: dict[tuple[object, ...], list[Row]] = {}


def measure_once(file: Path, codec: str, settings: Settings, threads: int) -> list[Row]:
    """The rows of a picture that an earlier test has measured, since most tests measure the same ones."""
    key = (file.name, file.read_bytes() if file.is_file() else b"", codec, repr(settings))
    if key not in known_rows:
        known_rows[key] = measure_anew(file, codec, settings, threads)
    return known_rows[key]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Measures in this process and draws no curves; returns the list of measured (picture, codec)."""
    measured: list[tuple[str, str]] = []
    monkeypatch.setattr(bench, "_measure_picture", measure_once)

    def here(tasks, settings, jobs):  # type: ignore[no-untyped-def]
        for file, codec in tasks:
            measured.append((file.name, codec))
            try:
                yield file, bench._measure_picture(file, codec, settings, 1)
            except CalotypeError as error:
                yield file, error

    monkeypatch.setattr(bench, "_measure_in_parallel", here)
    monkeypatch.setattr(bench, "plots_png", lambda rows, title: b"curves")
    return measured


def test_results_are_written_as_csv_summary_and_curves(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "plots_png", plots_png)
    rows = run_bench(folder, tmp_path / "out", JPEG)
    assert [(row.picture, row.budget) for row in rows] == [
        ("a.png", 20_000),
        ("a.png", 10_000),
        ("b.png", 20_000),
        ("b.png", 10_000),
    ]
    for row in rows:  # in proportion to the area
        assert row.size <= row.budget * row.width * row.height / 512**2 or not row.fits
    assert [row.as_dict() for row in read_rows(tmp_path / "out" / "figures.csv")] == [
        r.as_dict() for r in rows
    ]
    text = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert text.startswith("## set: 2 pictures, full size\n") and "### Worst cases" in text
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_only_what_is_missing_is_measured(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]], photo: NDArray[np.uint8]
) -> None:
    out = tmp_path / "out"
    first = run_bench(folder, out, JPEG)
    assert measured == [("a.png", "jpeg"), ("b.png", "jpeg")]
    again = run_bench(folder, out, JPEG)
    assert [row.as_dict() for row in again] == [row.as_dict() for row in first]
    assert len(measured) == 2
    more = Settings(Rules((), ("jpeg", "webp"), threads=1), sizes=JPEG.sizes)
    assert len(run_bench(folder, out, more)) == 8
    assert measured[2:] == [("a.png", "webp"), ("b.png", "webp")]
    Image.fromarray(photo[::-1]).save(folder / "b.png")
    run_bench(folder, out, more)
    assert measured[4:] == [("b.png", "jpeg"), ("b.png", "webp")]
    assert len(read_rows(out / "figures.csv")) == 8


def test_an_interrupted_run_goes_on(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, measure = tmp_path / "out", bench._measure_picture

    def interrupted(file, *arguments):  # type: ignore[no-untyped-def]
        if file.name == "b.png":
            raise KeyboardInterrupt
        return measure(file, *arguments)

    monkeypatch.setattr(bench, "_measure_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_bench(folder, out, JPEG)
    assert {row.picture for row in read_rows(out / "figures.csv")} == {"a.png"}
    monkeypatch.setattr(bench, "_measure_picture", measure)
    measured.clear()
    assert len(run_bench(folder, out, JPEG)) == 4
    assert measured == [("b.png", "jpeg")]


def test_figures_of_other_settings_are_not_mixed(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]]
) -> None:
    out = tmp_path / "out"
    run_bench(folder, out, JPEG)
    cropped = Settings(JPEG.rules, JPEG.sizes, crop=178)
    with pytest.raises(OutputError, match=r"other settings: .*--force"):
        run_bench(folder, out, cropped)
    rows = run_bench(folder, out, cropped, force=True)
    assert {(row.width, row.height) for row in rows} == {(178, 178)}
    assert json.loads((out / "run.json").read_text())["settings"]["crop"] == 178


def test_processes_give_the_same_figures(folder: Path, tmp_path: Path) -> None:
    steps: list[int] = []

    def started(total: int):  # type: ignore[no-untyped-def]
        assert total == 2
        return lambda: steps.append(1)

    rows = run_bench(folder, tmp_path / "two", JPEG, jobs=2, started=started)
    assert len(steps) == 2
    assert rows == [
        row for name in ("a.png", "b.png") for row in bench._measure_picture(folder / name, "jpeg", JPEG, 1)
    ]


def test_broken_pictures_are_reported_once_and_do_not_stop_the_others(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]]
) -> None:
    (folder / "aa.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "c.png").mkdir()
    failed: list[tuple[str, str]] = []
    two = Settings(Rules((), ("jpeg", "webp"), threads=1), sizes=JPEG.sizes)

    def tell(file: Path, error: CalotypeError) -> None:
        failed.append((file.name, str(error)))

    rows = run_bench(folder, tmp_path / "out", two, failed=tell)
    assert {row.picture for row in rows} == {"a.png", "b.png"}
    assert [name for name, _ in failed] == ["aa.png", "c.png"]
    assert "## set: 2 pictures, full size\n" in (tmp_path / "out" / "summary.md").read_text("utf-8")

    measured.clear()
    (folder / "c.png").rmdir()
    (folder / "aa.png").write_bytes((folder / "a.png").read_bytes())  # mended: it is measured now
    assert len(run_bench(folder, tmp_path / "out", two, failed=tell)) == 12
    assert measured == [("aa.png", "jpeg"), ("aa.png", "webp")]

    for file in folder.iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"no picture of .*set could be measured"):
        run_bench(folder, tmp_path / "none", two, failed=tell)
    with pytest.raises(SourceError, match=r"a\.png"):
        run_bench(folder, tmp_path / "raised", two)


def test_a_codec_without_its_model_is_reported_once(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ModelError("the weights are not here")

    monkeypatch.setattr("calotype.models.cache.load_encoder", absent)
    said: list[str] = []
    tiny = Settings(Rules(("tiny",), ("jpeg",), threads=1), sizes=JPEG.sizes)
    rows = run_bench(folder, tmp_path / "out", tiny, remark=said.append)
    assert {row.codec for row in rows} == {"jpeg"}
    assert said.count("the weights are not here") == 1
    with pytest.raises(ModelError, match="could be measured"):
        run_bench(folder, tmp_path / "none", Settings(Rules(("tiny",), (), threads=1)))


def test_missing_metrics_and_impossible_crops_are_reported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="not a folder with pictures"):
        run_bench(tmp_path / "empty", tmp_path / "out", JPEG)
    said: list[str] = []
    with pytest.raises(SourceError, match="too few for a crop of 999x999"):
        run_bench(folder, tmp_path / "out", Settings(JPEG.rules, crop=999), remark=said.append)
    assert any("lpips is left out" in line for line in said)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"settings": 1}', '{"settings": {}, "pictures": 7}']
)
def test_a_damaged_record_is_reported_and_replaced_with_force(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]], content: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(content)
    with pytest.raises(OutputError, match=r"run\.json is damaged: .*--force measures everything again"):
        run_bench(folder, tmp_path / "out", JPEG)
    assert len(run_bench(folder, tmp_path / "out", JPEG, force=True)) == 4


def test_damaged_figures_are_reported_and_replaced_with_force(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]]
) -> None:
    run_bench(folder, tmp_path / "out", JPEG)
    (tmp_path / "out" / "figures.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="not a table of figures"):
        run_bench(folder, tmp_path / "out", JPEG)
    assert len(run_bench(folder, tmp_path / "out", JPEG, force=True)) == 4


def test_a_codec_that_cannot_code_a_picture_does_not_stop_the_others(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]]
) -> None:
    Image.new("RGB", (16_384, 2)).save(folder / "wide.png")
    two = Settings(Rules((), ("jpeg", "webp"), threads=1), sizes=JPEG.sizes)
    failed: list[tuple[str, str]] = []

    def tell(file: Path, error: CalotypeError) -> None:
        failed.append((file.name, str(error)))

    rows = run_bench(folder, tmp_path / "out", two, failed=tell)
    assert {row.codec for row in rows if row.picture == "wide.png"} == {"jpeg"}
    ((name, why),) = failed
    assert name == "wide.png" and why.startswith("WebP cannot write a picture of 16384x2 pixels")


def test_a_killed_process_is_reported(folder: Path) -> None:
    class Killed:
        def __reduce__(self) -> tuple[object, tuple[int]]:
            return os._exit, (9,)  # as the system does when memory runs out

    lethal = Settings(Rules((), ("jpeg",), threads=Killed()), sizes=JPEG.sizes)  # type: ignore[arg-type]
    with pytest.raises(OutOfMemoryError, match="fewer --jobs"):
        list(bench._measure_in_parallel([(folder / "a.png", "jpeg")], lethal, 1))


def test_lack_of_memory_concerns_one_picture(
    folder: Path, tmp_path: Path, measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(self: object, rgb: NDArray[np.uint8], budgets: object) -> None:
        if rgb.shape == (180, 180, 3):
            raise MemoryError
        return usual(self, rgb, budgets)  # type: ignore[arg-type,return-value]

    usual = PillowCodec.compress
    monkeypatch.setattr(bench, "_measure_picture", measure_anew)
    monkeypatch.setattr(PillowCodec, "compress", greedy)
    failed: list[str] = []
    rows = run_bench(folder, tmp_path / "out", JPEG, failed=lambda file, error: failed.append(str(error)))
    assert {row.picture for row in rows} == {"a.png"}
    assert failed == ["there is not enough memory for jpeg and its metrics"]
