"""Runs the quick tests on every supported version of Python, and with the oldest supported packages.

The versions are those that ``pyproject.toml`` lists. Each is looked for on the search path and among the
versions that pyenv has installed; one that is not found is reported as not tested. The last row of the report
is for the oldest version, with the lowest release of every package that ``pyproject.toml`` permits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.environment import ROOT, create, run

__all__ = ["find_interpreter", "main", "oldest_constraints", "supported_versions"]

# The extras whose tests run with the oldest packages, too. Those that need torch are left out: the builds of
# old releases take several gigabytes.
_OLDEST_EXTRAS = ("web", "compare")
_QUICK = ("-m", "pytest", "--numprocesses", "auto", "--maxprocesses", "4", "-m", "not slow and not extra")
# Old releases use what newer releases of their own dependencies have deprecated.
_QUICK_OF_EXTRAS = ("-m", "pytest", "-m", "not slow", "-W", "ignore::DeprecationWarning")
# The HTTP clients of old and of new releases of Starlette, and other packages that the server's tests import.
_TEST_CLIENTS = ("httpx", "httpx2>=2", "schemathesis>=4", "selenium>=4.20")
_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9.]+)$")


def _project() -> dict[str, object]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])


def supported_versions() -> list[str]:
    """Returns the versions of Python that ``pyproject.toml`` has classifiers for, such as "3.11", oldest
    first."""
    classifiers = _project()["classifiers"]
    assert isinstance(classifiers, list)
    matches = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text) for text in classifiers)
    return sorted((match[1] for match in matches if match), key=lambda version: int(version[2:]))


def find_interpreter(version: str) -> Path | None:
    """Returns the interpreter of a version of Python, such as "3.12"; None if this machine has none that
    works.
    """
    candidates = [shutil.which(f"python{version}"), sys.executable]
    candidates += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    for candidate in filter(None, candidates):
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip() == version:
            return Path(candidate)
    return None


def oldest_constraints() -> str:
    """Returns constraints by which pip installs the lower bounds of the default install and of some
    extras.
    """
    project = _project()
    dependencies, extras = project["dependencies"], project["optional-dependencies"]
    assert isinstance(dependencies, list)
    assert isinstance(extras, dict)
    bounds = {}
    for requirement in [*dependencies, *(text for extra in _OLDEST_EXTRAS for text in extras[extra])]:
        match = _BOUND.match(requirement)
        if match is None:
            raise ValueError(f"{requirement!r} in pyproject.toml must have the form name>=version")
        bounds[match[1]] = match[2]
    return "".join(f"{name}=={version}\n" for name, version in sorted(bounds.items()))


def _jobs(folder: Path) -> Iterator[tuple[str, Callable[[Path], None], str]]:
    """Yields for each row of the report its name, a function that tests an interpreter, and its version."""

    def newest(interpreter: Path) -> None:
        python = create(folder / "newest", ["--editable", ".[check]"], interpreter=interpreter)
        run(python, *_QUICK)

    def oldest(interpreter: Path) -> None:
        constraints = folder / "oldest.txt"
        constraints.write_text(oldest_constraints(), "utf-8")
        extras = ",".join(("check", *_OLDEST_EXTRAS))
        requirements = ["--editable", f".[{extras}]", *_TEST_CLIENTS]
        python = create(folder / "oldest", requirements, interpreter=interpreter, constraints=constraints)
        run(python, *_QUICK)
        folders = [f"tests/{extra}" for extra in _OLDEST_EXTRAS]
        run(python, *_QUICK_OF_EXTRAS, *folders)

    versions = supported_versions()
    for version in versions:
        yield f"Python {version}, newest packages", newest, version
    yield f"Python {versions[0]}, oldest packages", oldest, versions[0]


def main() -> int:
    """Runs every job and prints one line for each; returns 1 if one failed, else 0."""
    report, failed = [], False
    with tempfile.TemporaryDirectory() as folder:
        for name, job, version in _jobs(Path(folder)):
            print(f"== {name}", flush=True)
            interpreter = find_interpreter(version)
            if interpreter is None:
                report.append(f"{name}: not tested, for this machine has no Python {version}")
                continue
            try:
                job(interpreter)
                report.append(f"{name}: passed")
            except subprocess.CalledProcessError as error:
                report.append(f"{name}: FAILED ({error})")
                failed = True
    print("", *report, sep="\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
