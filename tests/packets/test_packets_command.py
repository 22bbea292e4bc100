"""``calotype packets``, run within this process."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from calotype.cli import main
from calotype.packets import read_packet, read_recording, split

FILE = bytes(range(256)) * 8


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.calo").write_bytes(FILE)
    return tmp_path


def run(*arguments: str) -> int:
    return main(["packets", *arguments])


class Pipe:
    """Standard input or output of bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def test_a_folder_of_packets_and_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("split", "photo.calo", "out/", "--mtu", "100", "--redundancy", "0.3") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("photo.calo -> out/: 23 data packets and 7 for repair, of 98 bytes; stream ")
    files = sorted((folder / "out").iterdir())
    assert [file.name for file in files][:2] == ["photo-0000.packet", "photo-0001.packet"]
    assert [file.read_bytes() for file in files] == split(FILE, 100, 0.3)
    for number in (0, 7, 15, 20):
        files[number].unlink()
    files[1].write_bytes(b"damaged")
    (folder / "out" / "notes.txt").write_text("no packet")
    assert run("join", "out", "back.calo") == 0
    assert (folder / "back.calo").read_bytes() == FILE
    assert capsys.readouterr().err.endswith("1 packets were damaged and not used\n")


def test_a_recording_and_back_through_pipes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, received = Pipe(), Pipe()
    monkeypatch.setattr(sys, "stdin", Pipe(FILE))
    monkeypatch.setattr(sys, "stdout", sent)
    assert run("split", "-", "-", "--no-head", "--stream", "12", "--quiet") == 0
    packets = list(read_recording(io.BytesIO(sent.buffer.getvalue())))
    assert packets == split(FILE, head=False, stream=12)
    monkeypatch.setattr(sys, "stdin", Pipe(sent.buffer.getvalue()))
    monkeypatch.setattr(sys, "stdout", received)
    assert run("join", "-", "-", "--quiet") == 0
    assert received.buffer.getvalue() == FILE


def test_too_few_packets_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("split", "photo.calo", "photo.packets", "--quiet") == 0
    recording = folder / "photo.packets"
    recording.write_bytes(recording.read_bytes()[:1000])
    assert run("join", "photo.packets", "back.calo") == 3
    said = capsys.readouterr().err
    assert "warning: photo.packets: the recording ends within a packet" in said
    assert (
        "error: stream " in said and "is incomplete: 5 packets have arrived, at least 11 are needed" in said
    )
    assert not (folder / "back.calo").exists()
    assert run("join", "--partial", "photo.packets", "back.calo") == 0
    begun = (folder / "back.calo").read_bytes()
    assert FILE.startswith(begun) and len(begun) > 900
    said = capsys.readouterr().err
    assert f"back.calo is only the beginning of the file, {len(begun)} of 2,048 bytes" in said


def test_several_streams_are_joined_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = FILE[:300]
    (folder / "other.calo").write_bytes(other)
    for name, number in (("photo", "3"), ("other", "3"), ("photo", "9")):
        output = f"{name}{number}.packets"
        assert run("split", f"{name}.calo", output, "--stream", number, "--quiet") == 0
    (folder / "photo9.packets").write_bytes((folder / "photo9.packets").read_bytes()[:500])
    names = ["photo3.packets", "other3.packets", "photo9.packets"]
    assert run("join", *names, "new/") == 0
    files = {file.name: file.read_bytes() for file in (folder / "new").iterdir()}
    assert files == {"stream-3.calo": FILE, "stream-3-2.calo": other}
    assert "warning: stream 9 is incomplete" in capsys.readouterr().err
    assert run("join", *names, "one.calo") == 3
    assert "the packets are of several files: choose one of the streams 3, 3" in capsys.readouterr().err
    assert run("join", *names, "--stream", "9", "--partial", "--json", "nine.calo") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["stream"], record["complete"], record["output"]) == (9, False, "nine.calo")
    assert run("join", *names, "--stream", "5", "none.calo") == 3
    assert "no packet of stream 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["split", "photo.calo", "out/", "--mtu", "10"], 2, "50<=x<=1400"),
        (["split", "photo.calo", "out/", "--redundancy", "99"], 2, "redundancy (=99.0) must be at most"),
        (["split", "photo.calo", "-", "--json"], 2, "would both use standard output"),
        (["split", "none.calo", "out/"], 1, "none.calo: cannot be read"),
        (["split", "photo.calo", "photo.calo"], 1, "photo.calo: exists already"),
        (["split", "photo.calo", "photo.calo/"], 1, "photo.calo/: the folder cannot be made"),
        (["join", "photo.calo"], 2, "there is no output"),
        (["join", "photo.calo", "-", "--json"], 2, "would both use standard output"),
        (["join", "none.packets", "out.calo"], 1, "none.packets: cannot be read"),
        (["join", ".", "out.calo"], 1, ".: the folder has no .packet or .packets files"),
        (["join", "photo.calo", "out.calo"], 3, "no packet that can be used"),
    ],
)
def test_wrong_arguments_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(*arguments) == code
    assert message in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == ["photo.calo"]


def test_nothing_is_overwritten_without_force(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("split", "photo.calo", "out/") == 0
    assert run("split", "photo.calo", "out/", "--mtu", "300") == 1
    assert "out/photo-0000.packet: exists already" in capsys.readouterr().err
    assert run("split", "photo.calo", "out/", "--mtu", "300", "--force") == 0
    assert len(read_packet((folder / "out" / "photo-0000.packet").read_bytes())[1]) > 192


def test_the_number_of_packets_is_limited(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("split", "photo.calo", "photo.packets") == 0
    assert run("join", "photo.packets", "back.calo", "--max-packets", "5") == 4
    assert "photo.packets: at most 5 packets can be kept" in capsys.readouterr().err
