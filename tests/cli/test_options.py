"""Options without effect are refused; file names that no encoding can represent are shown with escapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from cli_samples import Refused, Run

from calotype.cli import main
from calotype.cli.paths import PathType
from calotype.errors import CalotypeWarning
from calotype.warning_hook import intercepted_warnings

ENCODE = ["encode", "photo.png", "x.calo"]
FOR_DIFFUSION = [
    ["--weights", "w"],
    ["--vae", "taesd"],
    ["--device", "auto"],
    ["--dtype", "float32"],
    ["--tile", "512"],
]
FOR_ALL = ("--device", "--dtype")
"""The options that also have an effect on embedded models, where a command encodes or decodes."""


COMMANDS = """
import json, sys
from calotype.cli import main
for command in json.loads(sys.argv[1]):
    code = main(command)
    print(f"\\x1f{code}\\x1e", end="", flush=True)
    print("\\x1e", end="", flush=True, file=sys.stderr)
"""
"""A program that runs command lines one after another; separators follow the output of each."""

CODING = [
    ENCODE,
    [*ENCODE, "-m", "tiny"],
    ["decode", "photo.calo", "x.png"],
    ["decode", "photo.calo", "x.png", "-m", "pocket"],
]
OTHERS = [
    ["compare", "photo.png", "--out", "r"],
    ["compare", "photo.png", "--models", "", "--out", "r"],
    ["stages", "photo.png", "--out", "s"],
    ["bench", ".", "--out", "b"],
    ["experiment", "palette", "photo.png", "--out", "e"],
]


@pytest.mark.parametrize(
    "command, option",
    [(command, option) for command in OTHERS for option in FOR_DIFFUSION]
    + [(command, option) for command in CODING for option in FOR_DIFFUSION if option[0] not in FOR_ALL],
)
def test_options_without_effect_on_the_model_are_refused(
    command: list[str], option: list[str], refused: Refused
) -> None:
    code, said = refused([*command, *option])
    assert code == 2
    assert f"{option[0]} would have no effect" in said


@pytest.mark.extra
def test_options_of_the_decoder_to_optimise_for_have_an_effect(refused: Refused) -> None:
    code, said = refused([*ENCODE, "-e", "9", "--decoder", "sd-1.5", "--weights", "nowhere"])
    assert code == 5
    assert "there is no file or folder nowhere with the weights of sd-1.5" in said


@pytest.mark.parametrize("option", [["--decoder", "tiny"], ["--time-limit", "60"]])
def test_options_of_effort_9_are_refused_at_other_efforts(option: list[str], refused: Refused) -> None:
    code, said = refused([*ENCODE, *option])
    assert code == 2
    assert f"{option[0]} would have no effect: only effort 9" in said


@pytest.mark.parametrize("number", ["inf", "nan", "1e308"])
def test_bits_per_pixel_are_finite(number: str, refused: Refused) -> None:
    code, said = refused([*ENCODE, "--bpp", number])
    assert code == 2
    assert "bpp (=" in said


def test_an_unknown_device_is_refused(refused: Refused) -> None:
    code, said = refused([*ENCODE, "-m", "sd-1.5", "--device", "auto:0"])
    assert code == 2
    assert "device (=auto:0)" in said


def test_unreadable_paths_end_no_command_before_it_began(monkeypatch: pytest.MonkeyPatch, photo: str) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert PathType().convert(photo, None, None) == photo


def test_one_input_that_cannot_be_read_does_not_stop_the_others(run: Run, photo: str, tmp_path: Path) -> None:
    long = "y" * (os.pathconf(tmp_path, "PC_NAME_MAX") - 4) + ".png"
    (tmp_path / long).write_bytes((tmp_path / photo).read_bytes())
    (tmp_path / "no").mkdir()
    names = ["no", long, photo]
    done = run("encode", "-m", "tiny", "-e", "1", "--json", *names, "out/")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(record["input"], record["ok"]) for record in records] == [
        ("no", False),
        (long, False),
        (photo, True),
    ]
    assert done.returncode == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.calo"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such names")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_file_names_in_no_encoding_are_accepted_and_shown(photo: str, tmp_path: Path, encoding: str) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / f"{name}.png").write_bytes((tmp_path / photo).read_bytes())
    accepted = [
        ["encode", "-m", "tiny", "-e", "1", f"{name}.png", f"{name}.calo"],
        ["encode", "-m", "tiny", "-e", "1", "--json", f"{name}.png", "out/"],
        ["info", f"{name}.calo"],
        ["info", "--json", f"{name}.calo"],
        ["decode", "-m", "tiny", f"{name}.calo", "out/"],
    ]
    unreadable = [
        ["encode", f"no{name}.png", "x.calo"],
        ["decode", f"no{name}", "x.png"],
        ["info", f"no{name}"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(accepted + unreadable)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
    )
    outputs, errors = (stream.split(b"\x1e") for stream in (done.stdout, done.stderr))
    codes = [int(output.rpartition(b"\x1f")[2]) for output in outputs[:-1]]
    assert len(codes) == len(errors) - 1 == len(accepted) + len(unreadable)
    assert b"internal error" not in done.stderr
    for code, output, error in zip(codes[: len(accepted)], outputs, errors, strict=False):
        assert code == 0, error
        assert b"caf" in output + error
    assert sorted(os.fsencode(path.name) for path in (tmp_path / "out").iterdir()) == [
        b"caf\xe9.calo",
        b"caf\xe9.png",
    ]
    assert codes[len(accepted) :] == [1] * len(unreadable)
    assert [error.count(b"\n") for error in errors[len(accepted) : -1]] == [1] * len(unreadable)


def test_a_warning_goes_to_the_innermost_handler_that_accepts_it() -> None:
    inner: list[str] = []
    outer: list[str] = []

    def take(message: str, category: type[Warning]) -> bool:
        if message.startswith("mine"):
            inner.append(message)
            return True
        return False

    def take_all(message: str, category: type[Warning]) -> bool:
        outer.append(message)
        return True

    with intercepted_warnings(take_all):
        with intercepted_warnings(take):
            for message in ("mine", "mine", "other"):
                warnings.warn(message, CalotypeWarning, stacklevel=1)
        warnings.warn("mine too", CalotypeWarning, stacklevel=1)
    assert (inner, outer) == (["mine", "mine"], ["other", "mine too"])


def test_the_working_directory_may_have_been_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.name != "posix":
        pytest.skip("only there it can be deleted")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["encode", "a.png", "b.calo"]) == 1
    assert "the working directory has been deleted" in capsys.readouterr().err
