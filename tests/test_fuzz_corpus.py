"""Every fuzz corpus, replayed through its harness."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
sys.path.insert(0, str(FUZZ))
common = importlib.import_module("common")

HARNESSES = sorted(path.stem.removeprefix("harness_") for path in FUZZ.glob("harness_*.py"))
INPUTS = [(name, path) for name in HARNESSES for path in common.corpus_files(common.CORPORA / name)]


def one_input(name: str) -> Callable[[bytes], None]:
    return importlib.import_module(f"harness_{name}").one_input


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=lambda value: getattr(value, "name", value))
def test_no_file_of_the_corpus_breaks_its_harness(name: str, path: Path) -> None:
    one_input(name)(path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", HARNESSES)
def test_each_harness_has_a_small_corpus_that_decodes_in_part(name: str) -> None:
    files = common.corpus_files(common.CORPORA / name)
    assert files
    assert sum(path.stat().st_size for path in files) < 200_000
    refused = 0
    for path in files:
        try:
            one_input(name).__wrapped__(path.read_bytes())
        except common.CalotypeError:
            refused += 1
    assert 0 < refused < len(files)


@pytest.mark.parametrize("name", importlib.import_module("make_corpus").TARGETS)
def test_made_seeds_are_the_ones_committed(name: str) -> None:
    if name == "packets":
        pytest.importorskip("zfec", reason="repair packets need the packets extra")
    seeds = importlib.import_module("make_corpus").TARGETS[name]
    for file, data in seeds().items():
        assert (common.CORPORA / name / file).read_bytes() == data, "run fuzz/make_corpus.py"


def test_a_harness_lets_only_refusals_pass() -> None:
    @common.refusals_are_fine
    def target(data: bytes) -> None:
        raise common.CalotypeError("no") if data else ZeroDivisionError

    target(b"x")
    with pytest.raises(ZeroDivisionError):
        target(b"")


@pytest.mark.slow
@pytest.mark.parametrize("name", HARNESSES)
def test_a_harness_run_without_atheris_replays_its_corpus(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(common, "atheris", None)
    monkeypatch.setattr(sys, "argv", [f"fuzz/harness_{name}.py"])
    common.main(one_input(name))
    assert f"{len(common.corpus_files(common.CORPORA / name))} inputs replayed" in capsys.readouterr().out
