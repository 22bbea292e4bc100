"""info, models, completion, and properties of the whole command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_samples import Run
from PIL import Image

import calotype
from calotype.models import list_models

ROOT = Path(__file__).parents[2]
OTHERS = ["torch", "calotype.compare", "calotype.web"]
LIGHT = [*OTHERS, "onnxruntime", "calotype.cli.encode"]
GOLDEN = ROOT / "tests" / "golden" / "context-242" / "rgb-24x24"


def test_info_describes_a_file_in_words_and_as_json(run: Run, calo: str, tmp_path: Path) -> None:
    info = calotype.read_info(tmp_path / calo)
    text = run("info", calo).stdout.decode()
    assert text.startswith("photo.calo: Calotype, format version 1\n")
    for part in (
        "48x40 RGB",
        f"{info.file_size} bytes",
        f"level {info.level} ",
        "hierarchical, space sd1",
        "tiny",
    ):
        assert part in text
    assert "first picture" not in text
    record = json.loads(run("info", calo, "--json").stdout)
    assert record.pop("ok") is True
    assert record.pop("file") == "photo.calo"
    assert record == json.loads(json.dumps(info.as_dict()))
    with_preview = run("info", "--partial", calo).stdout.decode()
    first = json.loads(run("info", "--partial", calo, "--json").stdout)["first_picture_size"]
    assert info.file_size - info.payload_size < first < info.file_size
    assert f"a first picture after {first} bytes" in with_preview


def test_info_of_many_goes_on_after_a_failure(run: Run, calo: str, photo: str) -> None:
    done = run("info", "no", photo, calo, "--json")
    assert [json.loads(line)["ok"] for line in done.stdout.splitlines()] == [False, False, True]
    assert done.returncode == 3
    assert [line.split(b": ")[2] for line in done.stderr.splitlines()] == [b"no", b"photo.png"]
    assert run("info", "--max-pixels", "1919", calo).returncode == 4


@pytest.mark.slow
def test_info_of_a_file_that_ends_too_early(run: Run, calo: str, tmp_path: Path) -> None:
    data = (tmp_path / calo).read_bytes()
    whole = json.loads(run("info", "--partial", calo, "--json").stdout)
    assert (whole["missing"], whole["fraction"]) == (0, 1)
    first = whole["first_picture_size"]
    for size in (first, first - 1):
        (tmp_path / "begun.calo").write_bytes(data[:size])
        refused = run("info", "begun.calo")
        assert (refused.returncode, refused.stdout) == (3, b"")
        done = run("info", "--partial", "begun.calo", "--json")
        assert done.returncode == 0
        record = json.loads(done.stdout)
        assert record["missing"] == len(data) - size
        assert record["fraction"] == round(size / len(data), 4)
        assert record["first_picture_size"] == (first if size == first else None)
        text = run("info", "--partial", "begun.calo").stdout.decode()
        share = f"({100 * size // len(data)} %)"
        assert f"the first {size} of at least {len(data)} bytes {share}" in text
        assert ("a first picture after" if size == first else "a first picture needs more bytes") in text
    (tmp_path / "header.calo").write_bytes(data[:10])
    assert run("info", "--partial", "header.calo").returncode == 3


def test_info_loads_nothing_heavy(calo: str, tmp_path: Path) -> None:
    code = (
        "import sys; from calotype.cli import main;"
        "assert main(['info', 'photo.calo']) == 0; print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.endswith(b"[]\n")


def test_models_are_listed_in_words_and_as_json(run: Run) -> None:
    text = run("models").stdout.decode()
    records = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]
    assert [record["name"] for record in records] == [model.name for model in list_models()]
    assert {"id", "space", "roles", "sha256", "size_bytes", "available", "description"} <= set(records[0])
    for record in records:
        assert record["name"] in text and record["description"] in text


@pytest.mark.slow
def test_version_and_help_are_printed(run_process: Run) -> None:
    for option in ("-V", "--version"):
        assert run_process(option).stdout.decode() == f"calotype {calotype.__version__}\n"
    done = run_process()
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Exit codes:" in done.stderr
    done = run_process("nothing")
    assert done.returncode == 2
    assert done.stderr.startswith(b"calotype: error: No such command 'nothing'")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert f"_CALOTYPE_COMPLETE={shell}_complete".encode() in done.stdout


def test_models_are_completed(run_process: Run) -> None:
    environment = os.environ | {
        "_CALOTYPE_COMPLETE": "bash_complete",
        "COMP_WORDS": "calotype encode -m ti",
        "COMP_CWORD": "3",
    }
    assert run_process(env=environment).stdout == b"plain,tiny\n"


def test_the_reference_is_up_to_date() -> None:
    script = ROOT / "scripts" / "cli_reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], LIGHT),
        (
            ["info", "picture.calo"],
            LIGHT,
        ),
        (["completion", "bash"], LIGHT),
        (
            ["decode", "-m", "tiny", "picture.calo", "{}/out.png"],
            OTHERS,
        ),
        (["encode", "-m", "tiny", "{}/in.png", "{}/out.calo"], OTHERS),
    ],
    ids=lambda value: value[0],
)
def test_a_command_imports_what_it_needs_and_no_more(
    arguments: list[str], unneeded: list[str], tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    arguments = [argument.format(tmp_path) for argument in arguments]
    script = (
        f"import sys; from calotype.cli import main; assert main({arguments!r}) == 0;"
        f" print('imported', sorted(set(sys.modules) & set({unneeded!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=GOLDEN, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == "imported []"


def test_completion_imports_no_runtime_and_reads_no_weights(tmp_path: Path) -> None:
    script = (
        "import sys; from calotype.models import shipped;"
        " shipped.read_shipped_file = None;"
        " from calotype.cli import cli;"
        " import atexit; atexit.register(lambda: print('onnxruntime' in sys.modules));"
        " cli(prog_name='calotype')"
    )
    environment = os.environ | {
        "_CALOTYPE_COMPLETE": "bash_complete",
        "COMP_WORDS": "calotype encode -m ti",
        "COMP_CWORD": "3",
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    assert done.stdout.decode().splitlines() == ["plain,tiny", "False"]
