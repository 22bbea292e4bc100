"""Several inputs at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cli_samples import Run, picture

import calotype
from calotype.cli import main
from calotype.cli.batch import Made
from calotype.cli.batch import run as run_batch
from calotype.cli.console import Console
from calotype.cli.plan import Job
from calotype.errors import CalotypeError, FormatError, LimitError

ENCODE = ("encode", "-m", "tiny", "-e", "1")


@pytest.mark.slow
def test_one_failure_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    for name in "abc":
        picture(width=16 + ord(name) % 8).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("not a picture")
    done = run(*ENCODE, "-j", "2", "--json", "a.png", "b.png", "no.png", "c.png", "-o", "out")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [(r["input"], r["ok"]) for r in records] == [
        ("a.png", True),
        ("b.png", False),
        ("no.png", False),
        ("c.png", True),
    ]
    assert records[2] == {
        "input": "no.png",
        "output": "out/no.calo",
        "ok": False,
        "error": "cannot be read (no such file or directory)",
        "exit_code": 1,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.calo", "c.calo"]
    assert b"\r" not in done.stderr, "a progress bar although nobody watches"

    (tmp_path / "out" / "x.calo").write_text("not a Calotype file")
    done = run(
        "decode", "-m", "tiny", "--format", "webp", "out/a.calo", "out/x.calo", "out/c.calo", "no", "back/"
    )
    assert done.returncode == 3, "the highest of 3 and 1"
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["a.webp", "c.webp"]


@pytest.mark.slow
def test_jobs_do_not_change_the_files(run: Run, tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(4)]
    for i, name in enumerate(names):
        picture(height=16 + 8 * i).save(tmp_path / name)
    for jobs in ("1", "3"):
        assert run(*ENCODE, "-j", jobs, *names, f"out{jobs}/").returncode == 0
    for name in names:
        calo = Path(name).with_suffix(".calo")
        assert (tmp_path / "out1" / calo).read_bytes() == (tmp_path / "out3" / calo).read_bytes()


def each(make: Callable[[Job], Made]) -> Callable[[Sequence[Job]], Iterator[Made]]:
    return lambda group: map(make, group)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [Job(f"in{i}", str(tmp_path / f"out{i}")) for i in range(9)]


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console()
    console.quiet = True
    yield console


@pytest.mark.parametrize("threads", [1, 3])
def test_the_highest_code_wins(jobs: list[Job], console: Console, threads: int) -> None:
    errors: dict[str, Exception] = {
        "in2": LimitError("large"),
        "in5": FormatError("bad"),
        "in6": RuntimeError(),
    }

    def make(job: Job) -> Made:
        if job.source in errors:
            raise errors[job.source]
        return Made(job.source.encode(), "", {})

    assert run_batch(jobs, each(make), console, force=False, threads=threads) == 4
    written = {job.source for job in jobs if Path(job.target).exists()}
    assert written == {job.source for job in jobs} - set(errors)
    assert Path(jobs[8].target).read_bytes() == b"in8"


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_in_which_one_fails_is_made_one_by_one(
    jobs: list[Job], console: Console, threads: int
) -> None:
    groups = []

    def make(group: Sequence[Job]) -> Iterator[Made]:
        groups.append([job.source for job in group])
        for job in group:
            if job.source == "in5":
                raise FormatError("bad")
            yield Made(job.source.encode(), "", {})

    assert run_batch(jobs, make, console, force=False, threads=threads, batch=4) == 3
    written = {job.source: Path(job.target).read_bytes() for job in jobs if Path(job.target).exists()}
    assert written == {job.source: job.source.encode() for job in jobs if job.source != "in5"}
    assert sorted(groups) == [
        ["in0", "in1", "in2", "in3"],
        ["in4"],
        ["in4", "in5", "in6", "in7"],
        ["in5"],
        ["in6"],
        ["in7"],
        ["in8"],
    ]


def test_jobs_run_at_the_same_time(jobs: list[Job], console: Console) -> None:
    meeting = threading.Barrier(3, timeout=20)

    def make(job: Job) -> Made:
        meeting.wait()
        return Made(b"", "", {})

    assert run_batch(jobs, each(make), console, force=False, threads=3) == 0


def test_an_existing_output_costs_no_work(jobs: list[Job], console: Console) -> None:
    Path(jobs[0].target).write_text("mine")

    def make(job: Job) -> Made:
        raise AssertionError("worked in vain")

    assert run_batch(jobs[:1], each(make), console, force=False, threads=1) == 1
    assert Path(jobs[0].target).read_text() == "mine"


def test_errors_name_the_file_they_are_about(
    jobs: list[Job], console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(job: Job) -> Made:
        if job.source == "in0":
            raise CalotypeError("in0 is odd")
        if job.source == "in1":
            raise MemoryError
        raise ZeroDivisionError("oops")

    assert run_batch(jobs[:3], each(make), console, force=False, threads=1) == 4
    assert capsys.readouterr().err.splitlines() == [
        "calotype: error: in0 is odd",
        "calotype: error: in1: there is not enough memory",
        "calotype: error: in2: internal error, please report it: ZeroDivisionError: oops (-vv shows where)",
    ]


@pytest.mark.parametrize(("jobs", "pictures", "threads"), [(1, 3, 8), (2, 3, 4), (4, 3, 2), (4, 1, 8)])
def test_jobs_divide_the_cores(
    jobs: int, pictures: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype.cores.available_cores", lambda: 8)
    given: list[int | None] = []

    class Recorded:
        def __init__(self, threads: int | None = None, *_: object) -> None:
            given.append(threads)

        def encode_many(self, images: Sequence[object], *_: object, **__: object) -> Iterator[bytes]:
            yield from (b"" for _ in images)

    monkeypatch.setattr(calotype, "Codec", Recorded)
    names = [str(tmp_path / f"{index}.png") for index in range(pictures)]
    for name in names:
        picture().save(name)
    main(["encode", "-m", "tiny", "-j", str(jobs), *names, "-o", str(tmp_path / "out")])
    assert given == [threads]
