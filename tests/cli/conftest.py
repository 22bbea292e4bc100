"""The command line with the tiny model, within the process of the tests or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_samples import Refused, Run, picture

import calotype
from calotype.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``calotype`` with arguments within this process, in an empty folder; output is bytes."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        capfd.readouterr()
        code = main(arguments)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out.encode(), said.err.encode())

    return run


@pytest.fixture
def run_process(tmp_path: Path) -> Run:
    """Runs ``calotype`` with arguments in a process of its own, in an empty folder; output is bytes.

    It takes the options of :func:`subprocess.run`.
    """

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "calotype", *arguments]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if "input" in options:
            del streams["stdin"]
        return subprocess.run(command, cwd=tmp_path, timeout=60, check=False, **(streams | options))

    return run


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """The name of a picture in the folder that ``run`` works in."""
    picture().save(tmp_path / "photo.png")
    return "photo.png"


@pytest.fixture(scope="session")
def calo_bytes() -> bytes:
    """The picture of ``photo``, encoded."""
    return calotype.encode(picture(), model="tiny", effort=1)


@pytest.fixture
def calo(photo: str, calo_bytes: bytes, tmp_path: Path) -> str:
    """The name of a .calo file in the folder that ``run`` works in."""
    (tmp_path / "photo.calo").write_bytes(calo_bytes)
    return "photo.calo"


@pytest.fixture
def refused(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refused:
    """Runs arguments that must fail, within this process; returns the exit code and the only line said.

    Nothing may appear on standard output or in the folder.
    """
    monkeypatch.chdir(tmp_path)

    def refused(arguments: list[str]) -> tuple[int, str]:
        before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        code = main(arguments)
        said = capfd.readouterr()
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
        assert said.out == ""
        assert said.err.startswith("calotype: error: ")
        assert said.err.count("\n") == 1
        return code, said.err

    return refused
