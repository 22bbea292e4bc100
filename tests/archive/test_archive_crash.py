"""Killed runs and workers, and stores that fill up or fail: no picture is lost, doubled or incomplete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from archive_samples import (
    TINY,
    FaultyFileSystem,
    Killed,
    LockedFileSystem,
    RepeatingEngine,
    SlowFileSystem,
    archived,
    contents,
    write_picture,
)
from PIL import Image

from calotype.archive import Archive, Counts, Settings, Work, create
from calotype.archive.engines.worker_pool import Died, WorkerPool
from calotype.errors import OutputError, SourceError

sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.kill_archive import check, kill_often, make_pictures


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_runs_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    make_pictures(tmp_path / "in", 60)
    ended = kill_often(tmp_path / "in", tmp_path / "archive", 8, longest=0.4, part_size=150, seed=1)
    assert ended["killed"] and not ended["failed"]
    assert check(tmp_path / "in", tmp_path / "archive") == []


@pytest.fixture
def faulty() -> Iterator[type[FaultyFileSystem]]:
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    FaultyFileSystem.store.clear()
    FaultyFileSystem.room, FaultyFileSystem.failures = float("inf"), 0
    yield FaultyFileSystem
    FaultyFileSystem.operations_left = float("inf")


def test_a_store_that_fills_up_ends_the_run_and_keeps_recorded_parts(
    faulty: type[FaultyFileSystem], pictures: Path, tmp_path: Path
) -> None:
    archived(pictures, tmp_path / "whole", part_size=100)
    first, second, _ = (path.stat().st_size for path in sorted((tmp_path / "whole" / "parts").iterdir()))
    faulty.room = first + second // 2
    with pytest.raises(OutputError, match=r"faulty://archive cannot be written \(no space left on device\)"):
        archived(pictures, "faulty://archive", part_size=100)
    with Archive("faulty://archive") as archive:
        assert 0 < len(archive) < 8 and not any(archive.verify())
    faulty.room = float("inf")
    archived(pictures, "faulty://archive", part_size=100)
    assert contents("faulty://archive") == contents(tmp_path / "whole")


def test_temporary_errors_of_a_store_are_retried(
    faulty: type[FaultyFileSystem], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype.archive.store.objects._RETRIES", (0, 0, 0))
    archived(pictures / "sub", "faulty://archive")
    faulty.failures = 3
    assert archived(pictures, "faulty://archive").archived == 6
    faulty.failures = 4
    write_picture(pictures / "later.png", 30)
    with pytest.raises(OutputError, match="input/output error"):
        archived(pictures, "faulty://archive")
    assert archived(pictures, "faulty://archive").archived == 1


def test_a_run_that_dies_at_any_moment_of_an_object_store_loses_nothing(
    faulty: type[FaultyFileSystem], tmp_path: Path
) -> None:
    """The run dies before and after each object that it writes or deletes, and another one goes on."""
    for number in range(3):
        write_picture(tmp_path / "in" / f"{number}.png", number)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    engine = RepeatingEngine(TINY)

    def run(destination: Any) -> Counts:
        return create([tmp_path / "in"], destination, Settings(TINY, part_size=100), engine=engine)

    run(tmp_path / "whole")
    expected, deaths = contents(tmp_path / "whole"), 0
    while True:
        faulty.store.clear()
        faulty.operations_left = deaths
        try:
            run("faulty://archive")
        except Killed:
            deaths += 1
        else:
            break
        faulty.operations_left = float("inf")
        counts = run("faulty://archive")
        assert counts.input == 4 and counts.archived + counts.already == 3
        assert contents("faulty://archive") == expected
        with Archive("faulty://archive") as archive:
            assert not any(archive.verify())
            assert [row["name"] for row in archive.errors()] == ["broken.jpg"]
    assert deaths >= 2 * (2 + 2 + 1)  # parts, records and the errors table


def test_a_slow_store_gets_the_same_archive(pictures: Path, tmp_path: Path) -> None:
    fsspec.register_implementation("slow", SlowFileSystem, clobber=True)
    SlowFileSystem.store.clear()
    archived(pictures, tmp_path / "whole", part_size=100)
    assert archived(pictures, "slow://archive", part_size=100).archived == 8
    assert contents("slow://archive") == contents(tmp_path / "whole")
    assert archived(pictures, "slow://archive", part_size=100).already == 8


def test_missing_credentials_give_an_error_of_one_sentence(pictures: Path, tmp_path: Path) -> None:
    fsspec.register_implementation("locked", LockedFileSystem, clobber=True)
    counts = archived(["locked://bucket/x.png", pictures / "0.png"], tmp_path / "archive")
    assert (counts.archived, counts.failed) == (1, 1)
    with Archive(tmp_path / "archive") as archive:
        assert "Unable to locate credentials" in archive.errors()[0]["reason"]
    with pytest.raises((OutputError, SourceError), match="Unable to locate credentials"):
        archived(pictures, "locked://bucket/archive")
    with pytest.raises(SourceError, match="Unable to locate credentials"):
        Archive("locked://bucket/archive")


def test_a_disk_that_fills_up_leaves_no_incomplete_part(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    archived(pictures / "sub", tmp_path / "archive")
    with monkeypatch.context() as patched, pytest.raises(OutputError, match="no space left on device"):
        patched.setattr("calotype.archive.part_writer.flush", full)
        archived(pictures, tmp_path / "archive")
    assert len(list((tmp_path / "archive" / "parts").iterdir())) == 1
    assert not list((tmp_path / "archive").glob("*.tmp"))
    assert archived(pictures, tmp_path / "archive").archived == 6


def test_a_disk_that_fills_up_within_a_part_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses to write more than 60 kB into one file, in the middle of a row group."""
    resource = pytest.importorskip("resource", reason="needs a system with limits of files")
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (120, 120, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    work = Work(TINY.options, keep_originals_over=0.0)
    archived(tmp_path / "0.png", tmp_path / "archive", work)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, usual[1]))
    try:
        with pytest.raises(OutputError, match=r"the archive .* cannot be written .*file too large"):
            archived(tmp_path / "*.png", tmp_path / "archive", work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not list((tmp_path / "archive").glob("*.tmp"))
    with Archive(tmp_path / "archive") as archive:
        assert len(archive) == 1 and not any(archive.verify())
    counts = archived(tmp_path / "*.png", tmp_path / "archive", work)
    assert (counts.archived, counts.already, counts.originals) == (2, 1, 2)


class Fatal:
    """Kills its process on the task "die"."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, task: str) -> str:
        if task == "die" or (task == "once" and not (self._folder / "once").exists()):
            (self._folder / "once").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "raise":
            raise ValueError(task)
        print("a library that prints")
        return f"{task} by {os.environ['OMP_NUM_THREADS']} thread"


@pytest.mark.slow
def test_workers_that_die_are_replaced(tmp_path: Path) -> None:
    with WorkerPool(partial(Fatal, tmp_path), 2) as pool:
        results = dict(pool.imap(["a", "die", "once", "b"], threading.Event()))
        assert results == {
            "a": "a by 1 thread",
            "die": Died(-9),
            "once": "once by 1 thread",
            "b": "b by 1 thread",
        }
        with pytest.raises(ValueError, match="raise"):
            list(pool.imap(["raise"], threading.Event()))


@pytest.mark.slow
def test_several_processes_write_the_same_rows_as_one(pictures: Path, tmp_path: Path) -> None:
    archived(pictures, tmp_path / "one")
    counts = create([pictures], tmp_path / "several", Settings(TINY, workers=2))
    assert (counts.archived, counts.failed) == (8, 1)
    assert contents(tmp_path / "several") == contents(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_cleanly_and_says_how_to_continue(number: signal.Signals, tmp_path: Path) -> None:
    make_pictures(tmp_path / "in", 300)
    command = [sys.executable, "-m", "calotype", "archive", "create", "-m", "tiny", "-e", "1", "-j", "1"]
    process: Any = subprocess.Popen(
        [*command, "--part-size", "40", str(tmp_path / "in"), str(tmp_path / "archive")],
        stderr=subprocess.PIPE,
        text=True,
    )
    parts = tmp_path / "archive" / "records"
    while process.poll() is None and not (parts.is_dir() and any(parts.iterdir())):
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "repeat the command to go on" in said and "Traceback" not in said
    assert not list((tmp_path / "archive").glob("*.tmp"))
    with Archive(tmp_path / "archive") as archive:
        assert 0 < len(archive) < 297 and not any(archive.verify())
