"""Other programs read the parts of an archive as they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from archive_samples import archived

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
def test_spark_reads_the_parts(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="needs pip install pyspark")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    try:
        rows = spark.read.parquet(str(parts)).filter("width = 16").select(*COLUMNS).collect()
    finally:
        spark.stop()
    assert sorted((*row[:3], bytes(row[3])) for row in rows) == expected(parts)
