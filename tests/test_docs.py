"""The documentation: its examples run, its command lines parse, its links have targets."""

from __future__ import annotations

import importlib
import re
import shlex
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from calotype import errors
from calotype.cli import cli
from calotype.latents import level_of_quality, step_of_level

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/*.md")])
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def blocks(language: str) -> list[object]:
    """The code blocks of one language in README and guides, each named by its page and line."""
    parameters: list[object] = []
    for page in (
        ROOT / "README.md",
        ROOT / "docs" / "guide.md",
        ROOT / "docs" / "thin-links.md",
        ROOT / "docs" / "latents.md",
    ):
        text = page.read_text("utf-8")
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                parameters.append(pytest.param(match[2], id=f"{page.name}:{line}"))
    return parameters


def commands(script: str) -> list[list[str]]:
    """The arguments of every ``calotype`` in a shell script, without redirections."""
    command_lines = []
    for line in script.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, "|"]:
            if word in ("|", "<", ">", "&&", ";"):
                if command[:1] == ["calotype"]:
                    command_lines.append(command[1:])
                command = []
            else:
                command.append(word)
    return command_lines


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.extra
@pytest.mark.parametrize("code", blocks("python"))
def test_python_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Image.open(ROOT / "samples" / "coffee.png") as sample:
        sample.convert("RGB").resize((272, 136)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("calotype.encoding.optimise.MAX_ITERATIONS", 1)
    exec(compile(code, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("script", blocks("sh"))
def test_command_lines_parse(script: str) -> None:
    command_lines = commands(script)
    assert command_lines
    for name, *arguments in command_lines:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.make_context(name, arguments)  # raises click.UsageError


class OneProcess:
    """Stands in for a pool of worker processes, each of which takes most of a second to start."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], workers: int) -> None:
        self._make = make

    def __enter__(self) -> OneProcess:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def imap(self, tasks: Iterable[Any], stop: threading.Event) -> Iterator[tuple[Any, Any]]:
        function = self._make()
        for task in tasks:
            yield task, function(task)


# The modules that start the pools of a command.
STARTERS = {
    "create": "calotype.archive.engines.engine",
    "plan": "calotype.archive.planning.plan",
    "export": "calotype.archive.exporting.export",
}


@pytest.mark.slow
@pytest.mark.extra
def test_commands_of_the_chapter_on_archives_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but those that need a cluster or a bucket; with the model "tiny", to save time."""
    for package in ("pyarrow", "fsspec", "safetensors", "ssimulacra2"):
        pytest.importorskip(package, reason="needs pip install 'calotype[archive,latents,compare]'")
    from calotype.cli import main

    with Image.open(ROOT / "samples" / "coffee.png") as sample:
        small = sample.convert("RGB").resize((72, 64))
    for name in ("photos/photo.jpg", "photos/2024/a.jpg", "more/b.jpg", "more/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        small.save(tmp_path / name)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "list.csv").write_text("uri\nmore/c.jpg\n")
    for number in range(100):
        with tarfile.open(tmp_path / f"shard-{number:03d}.tar", "w") as shard:
            if number % 40 == 0:
                shard.add(tmp_path / "more" / "c.jpg", f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    chapter = GUIDE.partition("\n## Archives\n")[2].partition("\n## ")[0]
    scripts = [match[2] for match in _BLOCK.finditer(chapter) if match[1] == "sh"]
    ran = []
    for _, action, *arguments in (command for script in scripts for command in commands(script)):
        if "ray" in arguments:
            continue
        fast = ["-m", "tiny", "-e", "1"] if action in ("create", "plan") else []
        failing = action == "create" and "photos/" in arguments  # the broken picture
        assert main(["archive", action, *fast, *arguments]) == int(failing), (action, arguments)
        ran.append(action)
        if action in STARTERS:  # Only the first command of each kind has worker processes.
            monkeypatch.setattr(importlib.import_module(STARTERS[action]), "WorkerPool", OneProcess)
    assert {*ran} == {"create", "stats", "list", "get", "extract", "verify", "plan", "export"}
    assert (tmp_path / "photo.calo").exists() and (tmp_path / "photos-2024" / "2024" / "a.calo").exists()
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["shard-000000.tar"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_guide_lists_quality_levels_and_steps() -> None:
    rows = re.findall(r"^\| \**(\d+)\**[^|]* \| (\d+) \| ([\d.]+) \|$", GUIDE, re.MULTILINE)
    assert [int(quality) for quality, _, _ in rows] == list(range(0, 101, 10))
    for quality, level, step in rows:
        assert int(level) == level_of_quality(int(quality))
        assert step == f"{step_of_level(int(level)):.3f}"


def test_guide_draws_the_tree_of_errors() -> None:
    drawn = next(match[2] for match in _BLOCK.finditer(GUIDE) if match[2].startswith("CalotypeError"))
    tree = re.findall(r"^ +(CalotypeError|[├│└].*)$", errors.__doc__ or "", re.MULTILINE)
    assert drawn.splitlines() == tree


def test_guide_lists_the_exit_codes_that_help_lists() -> None:
    listed = re.findall(r"^\| (\d+) \| \w", GUIDE.partition("## Exit codes")[2], re.MULTILINE)
    assert listed == re.findall(r"^ *(\d+)  \w", cli.epilog or "", re.MULTILINE)


def test_attempts_are_rows_of_one_form() -> None:
    page = (ROOT / "training" / "README.md").read_text("utf-8")
    section = page.partition("<!-- attempts:start -->")[2].partition("<!-- attempts:end -->")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 90
    titles = ["idea", "setting", "before", "after", "decision"]
    for cells in rows:
        assert len(cells) == len(titles), cells
        assert cells[0].strip() and cells[-1].strip(), cells
        if cells[0].strip() == "idea":
            assert [cell.strip() for cell in cells] == titles
