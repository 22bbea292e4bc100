"""Files and folders appear when they are complete, or not at all, whatever goes wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from calotype.atomic import folder_in_place, write_atomically


class Full(OSError):
    """A disk that is full."""


def failing(method: Any, at_call: int) -> Any:
    """``method`` of a path, which fails at its call with this number, from 1."""
    calls = 0

    def instead(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at_call:
            raise Full(28, "No space left on device")
        return method(*arguments, **more)

    return instead


@pytest.mark.parametrize("step", ["open", "replace"])
@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("before", [None, b"before"])
def test_a_step_that_fails_leaves_what_was_there(
    step: str, links: bool, before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    if before is not None:
        target.write_bytes(before)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", failing(None, 1))
    monkeypatch.setattr(Path, step, failing(getattr(Path, step), 1))
    if step == "replace" and links and before is None:
        write_atomically(target, b"data", overwrite=False)  # a link needs no rename
        assert target.read_bytes() == b"data"
        return
    with pytest.raises(Full):
        write_atomically(target, b"data", overwrite=before is not None)
    monkeypatch.undo()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if before is None else [before])


@pytest.mark.parametrize("links", [False, True])
def test_a_name_that_is_taken_in_the_last_moment_stays_taken(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"theirs")
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", failing(None, 1))
    with pytest.raises(FileExistsError):
        write_atomically(target, b"mine", overwrite=False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"theirs"]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize("links", [False, True])
def test_written_files_have_the_usual_permissions(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new file has the usual ones, one that replaces another has those of the other."""
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", failing(None, 1))
    plain, target = tmp_path / "plain", tmp_path / "file"
    plain.touch()
    write_atomically(target, b"new", overwrite=False)
    assert target.stat().st_mode == plain.stat().st_mode
    target.chmod(0o600)
    write_atomically(target, b"newer", overwrite=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_long_name_needs_no_longer_one(tmp_path: Path) -> None:
    name = "x" * os.pathconf(tmp_path, "PC_NAME_MAX") if hasattr(os, "pathconf") else "x" * 200
    write_atomically(tmp_path / name, b"data", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_takes_its_place(exists: bool, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    if exists:
        (target / "deep").mkdir(parents=True)
    with folder_in_place(target) as work:
        (work / "new").write_text("new")
    assert list(tmp_path.iterdir()) == [target]
    assert [path.name for path in target.iterdir()] == ["new"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    monkeypatch.setattr(Path, "rename", failing(Path.rename, call))
    with pytest.raises(Full), folder_in_place(target) as work:
        (work / "new").write_text("new")
    assert list(tmp_path.iterdir()) == [target]
    assert [path.name for path in target.iterdir()] == ["old"]


def test_an_error_within_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder_in_place(tmp_path / "folder") as work:
        (work / "new").write_text("new")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
