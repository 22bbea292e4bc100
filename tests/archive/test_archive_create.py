"""Archives made in a folder: rows, counts, continued runs, errors."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest
from archive_samples import TINY, InlineEngine, archived, contents, write_picture

import calotype
from calotype.archive import Archive, Counts, Settings, Work, create
from calotype.archive.engines.encoder import Encoder
from calotype.archive.part_writer import GROUP_ROWS
from calotype.archive.records import Ledger
from calotype.archive.schema import ERRORS, PICTURES
from calotype.archive.sources import PictureCounter
from calotype.archive.store import open_store
from calotype.cli.archive.create import _run_state
from calotype.cli.archive.running import duration
from calotype.errors import (
    CalotypeError,
    FormatError,
    ModelError,
    OutputError,
    SourceError,
    UnsupportedError,
)
from calotype.limits import Limits
from calotype.options import EncodeOptions

ROOT = Path(__file__).parents[2]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_describe_the_source_and_hold_its_file(pictures: Path, tmp_path: Path) -> None:
    counts = archived(pictures, tmp_path / "archive")
    assert (counts.input, counts.archived, counts.failed, counts.ignored) == (9, 8, 1, 1)
    with Archive(tmp_path / "archive") as archive:
        assert len(archive) == 8
        row = archive.get("sub/7.png")
    source = pictures / "sub" / "7.png"
    assert row["uri"] == str(source)
    assert row["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert row["payload"] == calotype.encode(source, model="tiny", effort=1)
    assert (row["width"], row["height"], row["quality"], row["model"]) == (16, 16, 50.0, "tiny")
    assert row["payload_bytes"] == len(row["payload"]) and row["original"] is None


def test_running_again_changes_nothing(pictures: Path, tmp_path: Path) -> None:
    archived(pictures, tmp_path / "archive")
    before = files_of(tmp_path / "archive")
    counts = archived(pictures, tmp_path / "archive")
    assert (counts.input, counts.already, counts.failed_before, counts.archived) == (9, 8, 1, 0)
    assert files_of(tmp_path / "archive") == before


def test_new_pictures_are_added(pictures: Path, tmp_path: Path) -> None:
    archived(pictures / "sub", tmp_path / "archive")
    write_picture(pictures / "sub" / "new.png", 50)
    counts = archived([pictures / "sub", pictures / "sub"], tmp_path / "archive")
    assert (counts.input, counts.already, counts.archived, counts.parts) == (6, 5, 1, 1)
    assert sorted(contents(tmp_path / "archive")) == ["6.png", "7.png", "new.png"]


def test_errors_have_reasons_and_attempts_and_are_tried_again_on_request(
    pictures: Path, tmp_path: Path
) -> None:
    destination = tmp_path / "archive"
    archived(pictures, destination)
    archived(pictures, destination, retry_errors=True)
    with Archive(destination) as archive:
        (row,) = archive.errors()
    assert row["reason"] == "broken.jpg is not an image in a format that can be read"
    assert (row["name"], row["attempts"], row["source"]) == ("broken.jpg", 2, str(pictures))
    write_picture(pictures / "broken.jpg", 9)
    assert archived(pictures, destination).failed_before == 1
    assert archived(pictures, destination, retry_errors=True).archived == 1
    with Archive(destination) as archive:
        assert archive.errors() == [] and len(archive) == 9


def test_an_error_can_end_the_run(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"broken\.jpg.*stops at the first error"):
        archived(pictures, tmp_path / "archive", on_error="stop")
    assert len(contents(tmp_path / "archive")) == 6  # those before it


def test_parts_and_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.archive.part_writer.GROUP_ROWS", 3)
    assert GROUP_ROWS == 100
    for number in range(8):
        write_picture(tmp_path / "in" / f"{number}.png", number)
    archived(tmp_path / "in", tmp_path / "archive", part_size=150)
    with Archive(tmp_path / "archive") as archive:
        assert [record.groups for record in archive.records] == [(3, 2), (3,)]
        assert [row["name"] for row in archive.rows(["name"])] == [f"{number}.png" for number in range(8)]
        assert archive.get("6.png")["name"] == "6.png"
    monkeypatch.setattr("calotype.archive.collector.PART_ROWS", 4)
    archived(tmp_path / "in", tmp_path / "small-parts")
    with Archive(tmp_path / "small-parts") as archive:
        assert [record.groups for record in archive.records] == [(3, 1), (3, 1)]


def test_pictures_with_equal_bytes_are_stored_once(tmp_path: Path) -> None:
    first = write_picture(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "b.png").write_bytes(first.read_bytes())
    write_picture(tmp_path / "in" / "c.png", 2)
    counts = archived(tmp_path / "in", tmp_path / "archive", dedupe=True)
    (tmp_path / "in" / "d.png").write_bytes(first.read_bytes())
    assert archived(tmp_path / "in", tmp_path / "archive", dedupe=True).duplicates == counts.duplicates == 1
    with Archive(tmp_path / "archive") as archive:
        assert (
            archive.get("d.png")["payload"]
            == archive.get("b.png")["payload"]
            == archive.get("a.png")["payload"]
        )
        stored = {row["name"]: row["payload"] for row in archive.rows()}
        assert stored["b.png"] is stored["d.png"] is None
        assert not any(archive.verify())


def test_pictures_that_the_codec_cannot_hold_keep_their_bytes(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "in" / "a.png", 1)
    work = Work(TINY.options, scores=("psnr",), keep_originals_over=0.0, thumbnail=4)
    assert archived(tmp_path / "in", tmp_path / "archive", work).originals == 1
    with Archive(tmp_path / "archive") as archive:
        row = archive.get("a.png")
        assert not any(archive.verify())
    assert row["original"] == path.read_bytes() and row["payload"] is None
    assert 0 < row["psnr"] < 60 and row["thumbnail"][:2] == b"\xff\xd8"


def test_bad_input_is_a_row_of_the_errors_table(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    good = write_picture(folder / "good.png", 1, 64)
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(good.read_bytes()[:60])
    write_picture(folder / "large.png", 2, 80)
    (folder / "nowhere.png").symlink_to(tmp_path / "nothing")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "größe-写真.png").write_bytes(good.read_bytes())
    with open(os.fsencode(folder) + b"/\xff.png", "wb") as file:  # noqa: PTH123 (no text)
        file.write(good.read_bytes())
    work = Work(EncodeOptions(model="tiny", effort=1, limits=Limits(max_pixels=5000)))
    counts = archived(folder, tmp_path / "archive", work)
    counts.check()
    with Archive(tmp_path / "archive") as archive:
        reasons = {row["name"]: row["reason"] for row in archive.errors()}
        names = {row["name"] for row in archive.rows(["name"])}
    assert names == {"good.png", "größe-写真.png", "\\xff.png"}
    assert set(reasons) == {"empty.png", "cut.png", "large.png", "nowhere.png", "loop", "pipe.png"}
    assert reasons["empty.png"] == "empty.png is empty"
    assert "at most 5000 are allowed" in reasons["large.png"]
    assert reasons["nowhere.png"] == "cannot be read (no such file or directory)"
    assert reasons["pipe.png"] == "is not a regular file"
    assert reasons["loop"] == "is a link to a folder that it is in"


def test_a_source_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_picture(tmp_path / "a.png", 1)
    fstat, calls = os.fstat, []

    def changing(descriptor: int) -> os.stat_result:
        if calls:
            path.write_bytes(b"another")
        calls.append(descriptor)
        return fstat(descriptor)

    monkeypatch.setattr("calotype.archive.sources.item.os.fstat", changing)
    assert archived(path, tmp_path / "archive").failed == 1
    with Archive(tmp_path / "archive") as archive:
        assert "changed while it was read" in archive.errors()[0]["reason"]


def test_a_part_without_a_record_is_recorded_by_the_next_run(pictures: Path, tmp_path: Path) -> None:
    destination = tmp_path / "archive"
    archived(pictures, destination)
    before = contents(destination)
    for record in (destination / "records").iterdir():
        record.unlink()
    (destination / ".calotype-0.tmp").write_bytes(b"half")
    counts = archived(pictures, destination)
    assert (counts.recovered, counts.already, counts.archived) == (8, 8, 0)
    assert contents(destination) == before and not list(destination.glob("*.tmp"))


def test_a_damaged_part_without_a_record_is_made_again(pictures: Path, tmp_path: Path) -> None:
    destination = tmp_path / "archive"
    archived(pictures, destination)
    before = contents(destination)
    (part,) = (destination / "parts").iterdir()
    (destination / "records" / f"{part.stem}.json").unlink()
    part.write_bytes(part.read_bytes()[:-20])
    assert archived(pictures, destination).archived == 8
    assert contents(destination) == before


def test_damage_is_found(pictures: Path, tmp_path: Path) -> None:
    destination = tmp_path / "archive"
    archived(pictures, destination)
    (part,) = (destination / "parts").iterdir()
    data = bytearray(part.read_bytes())
    with Archive(destination) as archive:
        assert not any(archive.verify())
        payload = archive.get("0.png")["payload"]
    data[data.index(payload) + 30] ^= 1
    part.write_bytes(data)
    with Archive(destination) as archive:
        problems = [str(problem) for problem in archive.verify() if problem]
    assert "does not match its SHA-256" in problems[0] and any("payload" in text for text in problems[1:])
    part.write_bytes(data[:-1])
    with pytest.raises(FormatError, match=r"bytes instead of .*: restore it, or delete"):
        Archive(destination)
    part.unlink()
    with pytest.raises(FormatError, match="is missing: restore it"):
        archived(pictures, destination)


def test_a_damaged_index_is_made_again(pictures: Path, tmp_path: Path) -> None:
    archived(pictures, tmp_path / "archive")
    (tmp_path / "archive" / "index.sqlite").write_bytes(b"damaged" * 1000)
    with Archive(tmp_path / "archive") as archive:
        assert archive.get("3.png")["name"] == "3.png"
    assert archived(pictures, tmp_path / "archive").already == 8


def test_a_newer_version_is_refused(pictures: Path, tmp_path: Path) -> None:
    archived(pictures, tmp_path / "archive")
    header = tmp_path / "archive" / "archive.json"
    header.write_text(json.dumps({"format": "calotype-archive", "version": 2}))
    for action in (lambda: Archive(tmp_path / "archive"), lambda: archived(pictures, tmp_path / "archive")):
        with pytest.raises(UnsupportedError, match=r"has version 2 .*: update calotype"):
            action()


def test_two_runs_do_not_write_at_once(pictures: Path, tmp_path: Path) -> None:
    with open_store(tmp_path / "archive").locked(), pytest.raises(OutputError, match="by another run"):
        archived(pictures, tmp_path / "archive")


def test_a_run_that_is_stopped_keeps_what_is_finished(pictures: Path, tmp_path: Path) -> None:
    stop, counts_seen = threading.Event(), []

    def progress(counts: object) -> None:
        counts_seen.append(counts)
        if len(counts_seen) == 3:
            stop.set()

    settings = Settings(TINY)
    counts = create(
        [pictures], tmp_path / "archive", settings, engine=InlineEngine(TINY), stop=stop, progress=progress
    )
    assert counts.interrupted and counts.archived == 3
    assert archived(pictures, tmp_path / "archive").archived == 5


def test_a_run_that_goes_on_shows_what_it_passes_over_and_can_be_stopped(
    pictures: Path, tmp_path: Path
) -> None:
    archived(pictures, tmp_path / "archive")
    seen, stop = [], threading.Event()

    def progress(counts: Counts) -> None:
        seen.append(counts.input)
        if len(seen) == 4:
            stop.set()

    settings, engine = Settings(TINY), InlineEngine(TINY)
    counts = create([pictures], tmp_path / "archive", settings, engine=engine, stop=stop, progress=progress)
    assert seen[:4] == [1, 2, 3, 4]
    assert counts.interrupted and (counts.input, counts.already, counts.archived) == (4, 4, 0)


def test_sources_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing is not there"):
        archived(tmp_path / "nothing", tmp_path / "archive")
    with pytest.raises(FormatError, match="holds no archive"):
        Archive(tmp_path)


def test_arguments_are_checked() -> None:
    for wrong in ({"scores": ("x",)}, {"keep_originals_over": -1.0}, {"thumbnail": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Work(**wrong)
    for wrong in ({"workers": 0}, {"part_size": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**wrong)


def test_damaged_records_are_named(pictures: Path, tmp_path: Path) -> None:
    archived(pictures, tmp_path / "archive")
    (record,) = (tmp_path / "archive" / "records").iterdir()
    record.write_text("{")
    with pytest.raises(FormatError, match="delete it to have its part verified"):
        Ledger(open_store(tmp_path / "archive")).recorded()
    record.unlink()
    assert archived(pictures, tmp_path / "archive").recovered == 8


def test_the_document_lists_the_columns() -> None:
    text = (ROOT / "docs" / "archive.md").read_text("utf-8")
    for columns in (PICTURES, ERRORS):
        for column in columns:
            null = "yes" if column.nullable else "no"
            assert f"| `{column.name}` | {column.type} | {null} |" in text, column.name


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(CalotypeError, match=r"pip install 'calotype\[archive\]'"):
        archived(tmp_path, tmp_path / "archive")
    monkeypatch.setitem(__import__("sys").modules, "ssimulacra2", None)
    with pytest.raises(ModelError, match=r"the score ssimulacra2 needs a package: .*calotype\[compare\]"):
        Encoder(Work(scores=("ssimulacra2",)))


def test_the_line_of_progress_has_rates_sizes_and_the_time_left() -> None:
    counts = Counts(
        input=30, archived=20, already=8, failed=2, seconds=10, bytes_in=90_000_000, bytes_out=3_000_000
    )
    assert (
        _run_state(counts, 130)
        == "30 of 130 pictures, 2.00 a second, 90.0 MB in, 3.0 MB out (1/30), 2 failed, 50.0 seconds left"
    )
    assert _run_state(Counts(), None) == "0 pictures, 0.00 a second, 0.0 MB in, 0.0 MB out"
    assert [duration(seconds) for seconds in (1, 300, 1e4, 1e6, 1e9)] == [
        "1.0 seconds",
        "5.0 minutes",
        "2.8 hours",
        "11.6 days",
        "31.7 years",
    ]


def test_pictures_are_counted_while_the_run_works(pictures: Path, tmp_path: Path) -> None:
    def counted(*sources: object) -> int | None:
        with PictureCounter(list(map(str, sources))) as counter:
            deadline = time.monotonic() + 20
            while counter.total is None and counter._thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            return counter.total

    assert counted(pictures, pictures / "notes.txt") == 10
    assert counted(pictures, "memory://x") is None
    assert counted(tmp_path / "a.tar.gz") is None
    assert counted(tmp_path / "nothing") is None
