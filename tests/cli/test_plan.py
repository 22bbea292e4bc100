from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from calotype.cli.plan import Job, plan
from calotype.errors import OutputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_input_goes_to_one_output() -> None:
    assert plan(["a.jpg", "b.calo"], None, ".calo") == [Job("a.jpg", "b.calo")]
    assert plan(["-", "-"], None, ".calo") == [Job("-", "-")]


@pytest.mark.parametrize("inputs", [["a.jpg"], ["a.jpg", "x/b.c.png"]])
def test_a_folder_last_takes_every_input(folder: Path, inputs: list[str]) -> None:
    (folder / "there").mkdir()
    expected = [f"{name}.calo" for name in ("a", "b.c")[: len(inputs)]]
    for last in ("there", "there/", "new/", "new/deep/"):
        jobs = plan([*inputs, last], None, ".calo")
        assert [job.source for job in jobs] == inputs
        assert [job.target for job in jobs] == [str(Path(last, name)) for name in expected]
        assert (folder / last).is_dir()


def test_out_dir_makes_every_argument_an_input(folder: Path) -> None:
    jobs = plan(["a.calo", "b.calo"], "out/deep", ".png")
    assert jobs == [Job("a.calo", "out/deep/a.png"), Job("b.calo", "out/deep/b.png")]
    assert (folder / "out/deep").is_dir()


@pytest.mark.parametrize(
    ("arguments", "out_dir", "sentence"),
    [
        (["a.jpg"], None, "no output: add OUT after 'a.jpg'"),
        (["a.jpg", "b.jpg", "c"], None, "2 inputs need a folder: end 'c' with a slash"),
        (["a.jpg", "a.png"], "new", "'a.jpg' and 'a.png' would both become 'new/a.calo'"),
        (["x/a.jpg", "y/a.jpg", "new/"], None, "'x/a.jpg' and 'y/a.jpg' would both become"),
        (["a.jpg", "a.jpg"], "new", "would both become"),
        (["-"], "new", "no name for a file"),
        (["same", "same"], None, "'same' is an input"),
        (["same", "./link"], None, "'./link' is an input"),
        (["one.calo", "same"], "", "'one.calo' is an input"),
    ],
)
def test_refusals_come_before_any_work(
    folder: Path, arguments: list[str], out_dir: str | None, sentence: str
) -> None:
    (folder / "same").touch()
    (folder / "one.calo").touch()
    (folder / "link").symlink_to("same")
    with pytest.raises(click.UsageError) as caught:
        plan(arguments, out_dir, ".calo")
    assert sentence in str(caught.value)
    assert not (folder / "new").exists()


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(OutputError, match="file/new: the folder cannot be made"):
        plan(["a.jpg"], "file/new", ".calo")


def test_an_over_long_name_is_the_fault_of_its_own_job_only() -> None:
    names = ["a.jpg", "x" * 300 + ".jpg"]
    jobs = plan([*names, "out/"], None, ".calo")
    assert [job.source for job in jobs] == names


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may search any folder")
@pytest.mark.parametrize("locked", ["out", "in"])
def test_a_folder_that_may_not_be_searched_ends_no_plan(folder: Path, locked: str) -> None:
    (folder / locked).mkdir()
    (folder / locked).chmod(0)
    try:
        assert len(plan(["a.jpg", "in/b.jpg", "out/"], None, ".calo")) == 2
    finally:
        (folder / locked).chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="only there the working directory may be deleted")
def test_a_deleted_working_directory_is_named(folder: Path) -> None:
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    with pytest.raises(
        OutputError, match=r"'a\.jpg' cannot be found: the working directory has been deleted"
    ):
        plan(["a.jpg", "a.calo"], None, ".calo")
    assert len(plan([str(folder / "a.jpg"), str(folder / "a.calo")], None, ".calo")) == 1
