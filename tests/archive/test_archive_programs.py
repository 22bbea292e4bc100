"""Other programs read the parts of an archive as they are."""

from __future__ import annotations

import importlib.util
import os
import shutil
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from archive_samples import archived, write_picture

from calotype.archive import Archive


@pytest.fixture
def parts(pictures: Path, tmp_path: Path) -> Path:
    """Several parts, of eight pictures."""
    archived(pictures, tmp_path / "archive", part_size=100)
    return tmp_path / "archive" / "parts"


def expected(parts: Path) -> list[tuple[Any, ...]]:
    """(name, width, size of the payload, payload) of each picture, by name."""
    with Archive(parts.parent) as archive:
        rows = archive.rows(["name", "width", "payload_bytes", "payload"])
        return sorted((row["name"], row["width"], row["payload_bytes"], row["payload"]) for row in rows)


COLUMNS = ["name", "width", "payload_bytes", "payload"]


def test_duckdb_reads_the_parts(parts: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    query = f"SELECT {', '.join(COLUMNS)} FROM '{parts}/*.parquet' ORDER BY name"
    assert duckdb.sql(query).fetchall() == expected(parts)


def test_pandas_reads_the_parts(parts: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.read_parquet(parts, columns=COLUMNS).sort_values("name")
    assert list(frame.itertuples(index=False, name=None)) == expected(parts)


def test_polars_reads_the_parts(parts: Path) -> None:
    polars = pytest.importorskip("polars", reason="needs polars")
    frame = polars.scan_parquet(parts / "*.parquet").filter(polars.col("width") == 16).select(COLUMNS)
    assert frame.sort("name").collect().rows() == expected(parts)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="needs a Java runtime"
)
def test_spark_reads_the_parts_as_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyspark.sql", reason="needs pip install pyspark")
    for number, side in enumerate((240, 256, 272)):
        write_picture(tmp_path / "in" / f"{number}.png", number, side)
    archived(tmp_path / "in", tmp_path / "archive", part_size=100)
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text("utf-8")
    lines = guide.partition("    from pyspark.sql import SparkSession")[2].splitlines()
    example = "from pyspark.sql import SparkSession" + "\n".join(
        line.removeprefix("    ")
        for line in takewhile(lambda line: not line or line.startswith("    "), lines)
    )
    assert "spark.stop()" in example
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, "example", "exec"), names)
    with Archive("archive") as archive:
        expected = {row["name"]: row["payload"] for row in archive.rows() if row["width"] >= 256}
    assert {row[0]: bytes(row[1]) for row in names["wide"]} == expected and len(expected) == 2
    assert "avg(payload_bytes)" in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_makes_batches_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).parents[2] / "examples" / "archive_to_training.py"
    spec = importlib.util.spec_from_file_location("archive_to_training", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "SIDE", 8)
    for number in range(5):
        write_picture(tmp_path / "photos" / f"{number}.png", number, 72)
        (tmp_path / "photos" / f"{number}.txt").write_text(f"picture {number}\n")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    for archived_now, already in ((5, 0), (0, 5)):
        example.main(tmp_path / "photos", str(tmp_path / "archive"))
        printed = capsys.readouterr().out
        assert "6 pictures will take" in printed and "5 pictures in 1 parts, 0 damaged" in printed
        assert f"{archived_now} archived, {already} there already" in printed
        (batch,) = (line for line in printed.splitlines() if line.startswith("batch"))
        assert batch.startswith("batch 0: (4, 4, 8, 8), ['picture ")
