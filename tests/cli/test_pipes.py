"""Standard streams, closed, full, in the middle of a pipe; and interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from cli_samples import Run, picture
from PIL import Image

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes and signals")

ENCODE = ("encode", "-m", "tiny", "-e", "1", "--quiet")
DECODE = ("decode", "-m", "tiny", "--quiet")


@pytest.mark.slow
def test_files_and_pipes_give_the_same_bytes(run_process: Run, photo: str, calo: str, tmp_path: Path) -> None:
    encoded = run_process(*ENCODE, "-", "-", input=(tmp_path / photo).read_bytes())
    assert (encoded.returncode, encoded.stderr) == (0, b"")
    assert encoded.stdout == (tmp_path / calo).read_bytes()
    decoded = run_process(*DECODE, "-", "-", input=encoded.stdout)
    assert (decoded.returncode, decoded.stderr) == (0, b"")
    with Image.open(BytesIO(decoded.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (48, 40))
    assert run_process("info", "-", input=encoded.stdout).stdout.startswith(b"standard input: Calotype")
    decoded = run_process(*DECODE, "--format", "webp", "-", "-", input=encoded.stdout)
    assert decoded.stdout[8:12] == b"WEBP"


@pytest.mark.slow
def test_a_pipe_that_is_not_a_picture(run_process: Run) -> None:
    for data in (b"", b"not a picture"):
        done = run_process(*ENCODE, "-", "-", input=data)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"calotype: error: standard input: ")
        assert done.stderr.count(b"\n") == 1
        done = run_process(*DECODE, "-", "-", input=data)
        assert (done.returncode, done.stdout) == (3, b"")
        assert done.stderr.startswith(b"calotype: error: standard input: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(
            (*DECODE, "photo.calo", "-"),
            b"calotype: error: standard output: was closed before everything was written\n",
            marks=pytest.mark.slow,
        ),
        (("info", "photo.calo"), b""),
        (("--help",), b""),
    ],
)
def test_a_closed_pipe_ends_quietly(
    run_process: Run, calo: str, arguments: list[str], sentence: bytes
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run_process(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_full_disk_gives_an_error_of_one_sentence(run_process: Run, calo: str) -> None:
    with Path("/dev/full").open("wb") as full:
        for arguments in ((*DECODE, calo, "-"), ("info", calo), ("-V",)):
            done = run_process(*arguments, stdout=full)
            assert done.returncode == 1
            assert done.stderr.startswith(b"calotype: error: ")
            assert done.stderr.endswith(b"no space left on device\n") or b"(no space left" in done.stderr
            assert done.stderr.count(b"\n") == 1
    done = run_process(*DECODE, "--format", "png", calo, "/dev/full")
    assert done.returncode == 1
    assert b"/dev/full: cannot be written (no space left on device)" in done.stderr


@pytest.mark.slow
def test_a_closed_standard_stream_is_one_error(photo: str, calo: str, tmp_path: Path) -> None:
    for line, sentence in (
        (f"decode -m tiny {calo} - >&-", b"calotype: error: standard output: is closed\n"),
        ("encode -m tiny - out.calo <&-", b"calotype: error: standard input: is closed\n"),
    ):
        command = ["sh", "-c", f"'{sys.executable}' -m calotype {line}"]
        done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (1, sentence)
    assert not (tmp_path / "out.calo").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_leaves_nothing_behind(photo: str, tmp_path: Path, jobs: int) -> None:
    fifos = [tmp_path / f"{i}.png" for i in range(jobs)]
    for fifo in fifos:
        os.mkfifo(fifo)
    command = [sys.executable, "-m", "calotype", *ENCODE, "-j", str(jobs), *(f.name for f in fifos), "out/"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        writers = [fifo.open("wb") for fifo in fifos]  # returns once the process reads it
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        for writer in writers:
            writer.close()
    assert (process.returncode, errors.strip()) == (130, b"calotype: error: interrupted")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_terminal_gets_a_progress_bar_and_no_binary_data(photo: str, calo: str, tmp_path: Path) -> None:
    """There is a progress bar, and no binary data."""
    picture().save(tmp_path / "other.png")
    status, said = _on_a_terminal([*ENCODE[:-1], "photo.png", "no.png", "other.png", "out/"], tmp_path)
    assert status == 1
    assert b"3/3" in said and b"\r" in said
    assert b"\x1b[Kcalotype: error: no.png: cannot be read (no such file or directory)\r\n" in said
    assert b"\x1b[Kother.png -> out/other.calo: " in said
    assert b"Traceback" not in said
    status, said = _on_a_terminal([*DECODE, calo, "-"], tmp_path)
    assert status == 1
    assert said.startswith(b"calotype: error: standard output: is a terminal")
    assert b"PNG\r" not in said


def _on_a_terminal(arguments: list[str], folder: Path) -> tuple[int, bytes]:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "calotype", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while block := os.read(ours, 1 << 16):
            said += block
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(ours)
    return process.wait(timeout=20), said
