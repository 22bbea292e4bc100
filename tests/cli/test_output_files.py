"""Files are read within limits, and written completely or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from calotype.cli.files import check_target, open_picture, read_calotype, write_target
from calotype.errors import LimitError, OutputError, SourceError
from calotype.limits import Limits


def test_a_new_file_has_the_usual_mode_and_leaves_nothing_else(tmp_path: Path) -> None:
    target, plain = tmp_path / "out", tmp_path / "plain"
    plain.touch()
    write_target(str(target), b"data", force=False)
    assert target.read_bytes() == b"data"
    assert target.stat().st_mode == plain.stat().st_mode
    assert target.stat().st_nlink == 1
    assert sorted(tmp_path.iterdir()) == [target, plain]


@pytest.mark.parametrize("links", [True, False])
def test_without_force_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:  # as on FAT

        def refuse(self: Path, target: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    target = tmp_path / "out"
    write_target(str(target), b"first", force=False)
    for attempt in (check_target, lambda path, force: write_target(path, b"second", force=force)):
        with pytest.raises(OutputError, match="exists already"):
            attempt(str(target), force=False)
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def refused(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("force", [False, True])
def test_a_rename_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    """Without hard links a name has to be claimed before the file takes it."""
    monkeypatch.setattr(Path, "hardlink_to", refused)
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OutputError, match=r"cannot be written \(operation not permitted\)"):
        write_target(str(tmp_path / "out"), b"data", force=force)
    assert list(tmp_path.iterdir()) == []


def test_force_keeps_mode_and_links(tmp_path: Path) -> None:
    target, link = tmp_path / "out", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    check_target(str(link), force=True)
    write_target(str(link), b"new", force=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    target = tmp_path / "out"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot be written \(file too large\)"):
            write_target(str(target), bytes(1000), force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "hardlink_to", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_target(str(tmp_path / "out"), b"data", force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_devices_are_written_to_and_stay_devices() -> None:
    for force in (False, True):
        check_target("/dev/null", force=force)
        write_target("/dev/null", b"data", force=force)
        assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match=r"cannot be written \(no space left on device\)"):
        write_target("/dev/full", b"data", force=False)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("", "is a folder"), ("no/out", "there is no folder"), ("x" * 300, "cannot be written")],
)
def test_impossible_targets_are_known_before_any_work(tmp_path: Path, path: str, sentence: str) -> None:
    for force in (False, True):
        with pytest.raises(OutputError, match=sentence):
            check_target(str(tmp_path / path), force=force)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_protected_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission denied"):
            write_target(str(tmp_path / "out"), b"data", force=False)
    finally:
        tmp_path.chmod(0o700)


def test_an_unreadable_source_is_one_error(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no", "no such file"), (tmp_path, "is a directory")):
        for read in (open_picture, read_calotype):
            with pytest.raises(SourceError, match=reason):
                read(str(path), Limits())


def test_endless_sources_are_cut_off() -> None:
    limits = Limits(max_pixels=1000, max_chunk_bytes=1000, max_metadata_bytes=1000)
    with pytest.raises(LimitError, match="longer than the 9000 bytes allowed"):
        open_picture("/dev/zero", limits)
    with pytest.raises(LimitError, match="longer than the 2000 bytes allowed"):
        read_calotype("/dev/zero", limits)


def test_a_long_regular_file_is_cut_off_too(tmp_path: Path) -> None:
    limits = Limits(max_pixels=1000, max_chunk_bytes=1000)
    (tmp_path / "long").write_bytes(bytes(2001))
    (tmp_path / "short").write_bytes(bytes(2000))
    assert len(read_calotype(str(tmp_path / "short"), limits)) == 2000
    with pytest.raises(LimitError, match="longer"):
        read_calotype(str(tmp_path / "long"), limits)
