"""The project's own files agree with each other, and the source distribution holds all of them."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path, PurePosixPath

import pytest

import calotype

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scripts.matrix import oldest_constraints, supported_versions  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def git_files(*options: str) -> set[str]:
    """The files that git lists, those that were deleted in the working tree left out."""
    done = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is not a checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


@pytest.mark.slow
def test_the_sdist_holds_every_file_of_the_repository(tmp_path: Path) -> None:
    sdist = pytest.importorskip("hatchling.builders.sdist", reason="hatchling is not installed")
    tracked = git_files()
    untracked = git_files("--others", "--exclude-standard")
    (file,) = sdist.SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(file) as archive:
        names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    assert tracked - names == set()
    built = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("src/calotype/browser/decoder/*")}
    assert names - tracked - untracked == {"PKG-INFO"} | built


def test_the_oldest_python_is_the_same_everywhere() -> None:
    oldest = supported_versions()[0]
    assert PROJECT["requires-python"] == f">={oldest}"
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'target-version = "py{oldest.replace(".", "")}"' in text
    assert f"Python {oldest} or newer" in (ROOT / "README.md").read_text("utf-8")
    assert f"sys.version_info >= ({oldest.replace('.', ', ')})" in (ROOT / "Makefile").read_text("utf-8")


def test_constraints_keep_to_the_lower_bounds() -> None:
    bounds = dict(
        re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    )
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    constraints = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {"mypy", "ruff", "torch"} <= set(constraints)
    for name, version in constraints.items():
        assert numbers(version) >= numbers(bounds[name]), name


def test_no_user_is_held_to_one_release() -> None:
    for requirements in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        assert [requirement for requirement in requirements if re.search("==|<|~", requirement)] == []


def test_the_oldest_packages_are_the_lower_bounds() -> None:
    constraints = oldest_constraints().splitlines()
    for requirement in PROJECT["dependencies"]:
        assert requirement.replace(">=", "==") in constraints


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {calotype.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_commits_and_ci_run_the_same_linters() -> None:
    assert "entry: make lint\n" in (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.search(r"^make .*\blint\b", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
